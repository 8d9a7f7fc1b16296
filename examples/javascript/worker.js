// A complete worker on the wire contract: the NATS client, JSON and subjects.
//
//     node worker.js alice            beside `custody up`: finds the broker through ./.custody
//     CUSTODY_NATS=nats://user:password@host:4222 node worker.js alice
//
// The work itself is in work.js, and only an example; this file can stay as it is.
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, headers } from "@nats-io/transport-node";
import { handle } from "./work.js";

const { CUSTODY_POOL = "default", CUSTODY_DATA_DIR = ".custody", CUSTODY_NATS, CUSTODY_SLOTS = "1" } = process.env;
const CAPABILITIES = (process.env.CUSTODY_CAPABILITIES ?? "example").split(",");
const SLOTS = Number(CUSTODY_SLOTS); // tasks at once
const WAIT_S = 20; // how long one claim waits for work
const RETRY_MS = 1_000;
const BEAT_MS = 20_000; // or a third of the shortest lease, if that is less
const PROGRESS_WITHIN_MS = 600_000; // a task that reports nothing for so long is no longer vouched for
const DRAIN_MS = 30_000; // how long the end may take
const TRY_AGAIN = new Set(["overloaded", "not_writer", "unavailable"]); // the same command again, with the same id
const NOT_NOW = new Set(["paused", "at_capacity"]); // another claim, later

/** The service refused a command: the lease is lost, say. */
class Refused extends Error {
  constructor({ code, message, details }) {
    super(message);
    Object.assign(this, { code, details });
  }
}

/** One task that is held: what `handle` gets. */
class Job {
  constructor(worker, lease) {
    Object.assign(this, { worker, lease, payload: lease.payload, checkpoint: lease.handoff?.last_checkpoint });
    this.held = { task_id: lease.task_id, token: lease.token };
    this.ending = new AbortController();
    this.signal = this.ending.signal;
    this.reportedAt = performance.now();
  }

  /** Report progress, which renews the lease. The next holder goes on at the last checkpoint. */
  async progress(percent, checkpoint) {
    const terms = await this.ask("progress", { percent, checkpoint });
    this.reportedAt = performance.now();
    this.checkpoint = checkpoint;
    this.obey(terms.directive);
    this.signal.throwIfAborted();
  }

  /** `stop`: the task is lost, nothing more may be done on it. `hand_over`: release it soon. */
  obey(directive) {
    if (directive !== "continue" && !this.signal.aborted) this.ending.abort(directive);
  }

  /** Send a command on the task, as a part of the trace that it was submitted in. */
  ask(verb, body = {}) {
    return this.worker.ask(verb, { ...this.held, ...body }, this.lease.traceparent);
  }

  /** Work, and say how it ended. */
  async run() {
    const { task_id, attempt } = this.lease;
    console.log(`began ${task_id}, attempt ${attempt}, at step ${this.checkpoint?.done ?? 0}`);
    try {
      let said;
      try {
        const result = await handle(this);
        said = ["completed", "complete", { result }];
      } catch (error) {
        if (error instanceof Refused) throw error;
        if (!this.signal.aborted) said = ["failed", "fail", { error: String(error.message).slice(0, 1_000) }];
        else if (this.signal.reason === "stop") return console.log(`stopped ${task_id}`);
        else said = ["released", "release", { checkpoint: this.checkpoint, reason: "handed over" }];
      }
      const [done, verb, body] = said;
      await this.ask(verb, body);
      console.log(`${done} ${task_id}`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      console.log(`lost ${task_id}: ${error.message}`); // stale_token, task_finished: another agent has it, or it ended
    }
  }
}

class Worker {
  session = randomUUID(); // this process: an earlier one of the same name is told apart by it, and refused
  jobs = new Map();
  ending = new AbortController();

  constructor(nc, name) {
    Object.assign(this, { nc, name });
  }

  /** Send a command until its outcome is known. Its id makes sure that it is carried out once. */
  async ask(verb, body = {}, traceparent = null) {
    const subject = `custody.${CUSTODY_POOL}.agent.${this.name}.${verb}`;
    const request = JSON.stringify({ ...body, session: this.session, command_id: randomUUID() });
    const options = { timeout: 10_000 + 1_000 * (body.wait_s ?? 0), headers: headers() };
    if (traceparent) options.headers.set("traceparent", traceparent);
    for (;;) {
      try {
        const reply = (await this.nc.request(subject, request, options)).json();
        if (reply.ok) return reply.result;
        if (!TRY_AGAIN.has(reply.error.code)) throw new Refused(reply.error);
      } catch (error) {
        // Any other error: no answer in time, no service, or no broker. Each may be back in a moment.
        if (error instanceof Refused || this.nc.isClosed()) throw error;
      }
      await sleep(RETRY_MS);
    }
  }

  /** Work until asked to end, then hand over. */
  async run() {
    const { leases } = await this.ask("register", { capabilities: CAPABILITIES, capacity: SLOTS });
    for (const { task_id, token } of leases) {
      // An earlier process of this name died with it. It comes back from the queue with the last checkpoint.
      await this.ask("release", { task_id, token, reason: "restarted" });
    }
    const beats = this.beat();
    const ended = new Promise((resolve) => this.ending.signal.addEventListener("abort", () => resolve([])));
    while (!this.ending.signal.aborted) {
      const free = SLOTS - this.jobs.size;
      if (free) (await Promise.race([this.claim(free), ended])).forEach((lease) => this.begin(lease));
      else await Promise.race([...[...this.jobs.values()].map((job) => job.done), ended]);
    }
    this.jobs.forEach((job) => job.obey("hand_over"));
    await Promise.all([...this.jobs.values()].map((job) => job.done));
    // It also ends a claim that still waits, and gives back what that may have been granted at the last moment.
    await this.ask("deregister");
    await beats;
  }

  /** Wait for work. */
  async claim(max) {
    try {
      return (await this.ask("claim", { max, wait_s: WAIT_S })).leases;
    } catch (error) {
      if (!NOT_NOW.has(error.code)) throw error;
      await sleep(RETRY_MS);
      return [];
    }
  }

  begin(lease) {
    const job = new Job(this, lease);
    this.jobs.set(lease.task_id, job);
    job.done = job.run().finally(() => this.jobs.delete(lease.task_id));
  }

  /** Vouch for the tasks that advance, also while they are handed over, and obey what the replies say. */
  async beat() {
    for (let sentAt = 0; !this.ending.signal.aborted || this.jobs.size; await sleep(250)) {
      const [jobs, now] = [[...this.jobs.values()], performance.now()];
      const due = Math.min(BEAT_MS, ...jobs.map((job) => (1_000 * job.lease.lease_s) / 3));
      if (!jobs.length || now - sentAt < due) continue; // without a task, the waiting claims are signs of life
      sentAt = now;
      const tasks = jobs.filter((job) => now - job.reportedAt < PROGRESS_WITHIN_MS).map((job) => job.held);
      // A refusal says nothing that the claims and the work are not told too.
      const { directives = [] } = await this.ask("heartbeat", { tasks }).catch(() => ({}));
      for (const order of directives) {
        const job = this.jobs.get(order.task_id);
        if (job && (order.token ?? job.held.token) === job.held.token) job.obey(order.do);
      }
    }
  }
}

/** Connect as CUSTODY_NATS says, else as the operator of the broker that `custody up` runs here. */
function access() {
  if (CUSTODY_NATS) {
    const { host, username, password } = new URL(CUSTODY_NATS);
    const [user, pass] = [username, password].map(decodeURIComponent);
    return { servers: host, ...(user && { user, pass }) };
  }
  const [broker, credentials] = ["broker", "credentials"].map((name) => `${CUSTODY_DATA_DIR}/${name}.json`);
  if (!existsSync(broker)) throw new Error(`there is no ${broker}: run this beside \`custody up\`, in its directory`);
  const { operator } = JSON.parse(readFileSync(credentials));
  return { servers: JSON.parse(readFileSync(broker)).url, user: "operator", pass: operator };
}

const name = process.argv[2] ?? "alice";
const where = access();
const patience = { waitOnFirstConnect: true, maxReconnectAttempts: -1, pingInterval: 5_000 };
const nc = await connect({ ...where, ...patience, inboxPrefix: `_INBOX.${where.user ?? name}` });
const worker = new Worker(nc, name);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    worker.ending.abort();
    setTimeout(() => process.exit(1), DRAIN_MS).unref(); // without an answer, the leases run out by themselves
  });
}
try {
  await worker.run();
} catch (error) {
  console.error(`${name}: ${error.message}`); // stale_session: another process of this name runs
  process.exitCode = 1;
}
await nc.close();
