/** Windows of a long list of tasks: blocks of rows that are fetched when they come into view, and again when tasks change. */
import { get, mayPass } from '#/api.js';
import { serverNow } from '#/clock.js';

const BLOCK = 100;
const KEPT_BLOCKS = 12;
const AGAIN_MS = 1000;

export class Windows {
  /** @param {object} query of `/api/tasks` @param {() => void} changed called when there are new rows */
  constructor(query, changed) {
    this.query = query;
    this.changed = changed;
    this.total = 0;
    this.loaded = false;
    /** @type {{status: number, message: string}|null} */
    this.failure = null;
    /** Of which moment the rows are, in ms; null: there are none yet. */
    this.asOf = /** @type {number|null} */ (null);
    /** @type {Map<number, any[]>} */
    this.blocks = new Map();
    this.range = [0, BLOCK];
    this.stale = false;
    this.asking = null;
    this.timer = 0;
  }

  /** The row at an index; undefined: on its way. */
  rowAt(index) {
    return this.blocks.get(Math.floor(index / BLOCK))?.[index % BLOCK];
  }

  /** Rows from `first` up to `last` are in view. */
  show(first, last) {
    this.range = [first, last];
    if (this.#wanted().some(each => !this.blocks.has(each))) this.#ask();
  }

  /** Some task has changed: ask again, at most once a second. */
  renew() {
    this.stale = true;
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.#ask();
    }, AGAIN_MS);
  }

  /** Nobody looks any more. */
  stop() {
    clearTimeout(this.timer);
    this.timer = -1;
    this.asking?.abort();
    this.changed = () => {};
  }

  #wanted() {
    const [first, last] = this.range;
    const found = [];
    for (let block = Math.floor(first / BLOCK); block * BLOCK < Math.max(last, 1); block += 1) found.push(block);
    return found;
  }

  async #ask() {
    if (this.asking || this.timer === -1) return;
    this.asking = new AbortController();
    const again = this.stale;
    this.stale = false;
    const wanted = this.#wanted().filter(each => again || !this.blocks.has(each));
    try {
      const first = Math.min(...wanted);
      const limit = (Math.max(...wanted) - first + 1) * BLOCK;
      const answer = await get('/api/tasks', { ...this.query, offset: first * BLOCK, limit }, this.asking.signal);
      this.#take(first, limit / BLOCK, answer, again);
      this.failure = null;
      this.asOf = serverNow();
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.failure = error;
      this.stale ||= mayPass(error);
    }
    this.asking = null;
    this.loaded = true;
    this.changed();
    if (this.stale) this.renew();
    if (!this.failure && this.#wanted().some(each => !this.blocks.has(each) && each * BLOCK < this.total)) this.#ask();
  }

  #take(first, count, { total, rows }, again) {
    // Blocks out of view are of an earlier moment by now.
    if (again || this.blocks.size > KEPT_BLOCKS) this.blocks.clear();
    this.total = total;
    for (let block = 0; block < count; block += 1) {
      this.blocks.set(first + block, rows.slice(block * BLOCK, (block + 1) * BLOCK));
    }
  }
}
