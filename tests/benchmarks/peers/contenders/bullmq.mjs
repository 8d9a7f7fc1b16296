// BullMQ on Redis, its callers and workers in one process: speaks the lines of JSON that callers.py does.

import { createInterface } from 'node:readline';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const BULK = 500;
const PERCENT = 45;

const ms = () => performance.now();
const sleep = (duration) => new Promise((resolve) => setTimeout(resolve, duration));

let address;
let queue;
let submitted = 0;
const perSecond = new Map();

const connect = () => new Redis(address.port, address.host, { maxRetriesPerRequest: null });

function newIds(count) {
  submitted += count;
  return Array.from({ length: count }, (_, number) => `t${submitted - number}`);
}

async function submit(taskIds) {
  for (let begin = 0; begin < taskIds.length; begin += BULK) {
    const jobs = taskIds.slice(begin, begin + BULK).map((taskId) => ({ name: 'work', data: { taskId } }));
    await queue.addBulk(jobs);
  }
}

// Runs so many workers until `ended` has been called for so many tasks.
async function withWorkers(workers, tasks, started, ended) {
  const connection = connect();
  let worker;
  await new Promise((resolve, reject) => {
    let left = tasks;
    worker = new Worker('peers', (job) => job.updateProgress(PERCENT), {
      connection,
      concurrency: workers,
      removeOnComplete: { count: 1000 },
    });
    worker.on('completed', (job) => {
      ended(job);
      left -= 1;
      if (left === 0) resolve();
    });
    worker.on('failed', (_, error) => reject(error));
    worker.waitUntilReady().then(started).catch(reject);
  });
  await worker.close();
  connection.disconnect();
}

async function work(workers, tasks) {
  let first = 0;
  let last = 0;
  await submit(newIds(tasks));
  await withWorkers(workers, tasks, () => {}, () => {
    last = ms();
    first ||= last;
  });
  return ((tasks - 1) * 1000) / (last - first);
}

const jobs = {
  async life({ workers, seconds }) {
    if (!perSecond.has(workers)) perSecond.set(workers, await work(workers, Math.max(30, 3 * workers)));
    perSecond.set(workers, await work(workers, Math.max(30, Math.floor(perSecond.get(workers) * seconds))));
    return { per_s: perSecond.get(workers) };
  },

  async offered({ workers, per_s: offeredPerSecond, seconds }) {
    const taskIds = newIds(Math.floor(offeredPerSecond * seconds));
    const began = new Map();
    const took = [];
    const offer = async () => {
      const start = ms();
      const adding = [];
      for (const [number, taskId] of taskIds.entries()) {
        await sleep(Math.max(0, start + (number * 1000) / offeredPerSecond - ms()));
        began.set(taskId, ms());
        adding.push(queue.add('work', { taskId }));
      }
      await Promise.all(adding);
    };
    await withWorkers(workers, taskIds.length, offer, (job) => took.push(ms() - began.get(job.data.taskId)));
    took.sort((a, b) => a - b);
    const at = (share) => took[Math.min(took.length - 1, Math.floor(share * took.length))];
    return { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: took.at(-1) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const asked = JSON.parse(line);
    if (queue === undefined) {
      address = asked;
      queue = new Queue('peers', { connection: connect() });
      await queue.waitUntilReady();
      answer = { figures: {} };
    } else {
      answer = { figures: await jobs[asked.job](asked.case) };
    }
  } catch (error) {
    answer = { error: String(error.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
