// The work, and only an example, told by the payload: {"steps": 5, "step_s": 0.2, "fail": "why"}.
import { setTimeout as sleep } from "node:timers/promises";

/** Goes on at the checkpoint and reports each step. When `job.signal` is aborted, it is to end at once. */
export async function handle(job) {
  const { steps = 3, step_s = 0.1, fail } = job.payload ?? {};
  for (let done = job.checkpoint?.done ?? 0; done < steps; ) {
    await sleep(1_000 * step_s, undefined, { signal: job.signal });
    done += 1;
    await job.progress(Math.floor((100 * done) / steps), { done });
  }
  if (fail) throw new Error(fail);
  return { steps };
}
