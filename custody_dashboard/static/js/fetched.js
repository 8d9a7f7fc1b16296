/** A document of the server in a component: fetched, and fetched again when something says so. */
import { useEffect, useState } from 'preact/hooks';
import { get, mayPass, queryOf } from '#/api.js';
import { serverNow } from '#/clock.js';

const AGAIN_MS = 1000;
const NOTHING_YET = { document: null, asOf: null, failure: null };

/** Asks one address, at most once a second, and never twice at once. */
class Asker {
  constructor(take) {
    this.take = take;
    this.timer = 0;
    this.askedAt = -AGAIN_MS;
    this.abort = null;
    this.stale = false;
    this.trigger = undefined;
  }

  point(path, query) {
    this.stop();
    this.path = path;
    this.query = query;
    this.take(NOTHING_YET);
    this.#ask();
  }

  renew() {
    this.stale = true;
    if (this.abort || this.timer) return;
    this.timer = setTimeout(() => this.#ask(), Math.max(0, this.askedAt + AGAIN_MS - performance.now()));
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.abort?.abort();
    this.abort = null;
  }

  async #ask() {
    const abort = new AbortController();
    this.timer = 0;
    this.abort = abort;
    this.stale = false;
    this.askedAt = performance.now();
    try {
      const document = await get(this.path, this.query, abort.signal);
      if (abort.signal.aborted) return;
      this.take({ document, asOf: serverNow(), failure: null });
    } catch (error) {
      if (abort.signal.aborted) return;
      this.take(before => ({ ...before, failure: error }));
      this.stale ||= mayPass(error);
    }
    this.abort = null;
    if (this.stale) this.renew();
  }
}

/**
 * Return what an address answers, and why it does not. With both, the document is the last one, of the moment `asOf`:
 * show it with `Stale`.
 * @param {string} path @param {object} query @param {any} [trigger] a change of it asks again
 * @returns {{document: any, asOf: number|null, failure: {status: number, message: string}|null}}
 */
export function useFetched(path, query, trigger) {
  const [answer, setAnswer] = useState(NOTHING_YET);
  const [asker] = useState(() => new Asker(setAnswer));
  const key = path + queryOf(query);
  useEffect(() => {
    asker.point(path, query);
    return () => asker.stop();
  }, [key]);
  useEffect(() => {
    if (asker.trigger !== undefined && asker.trigger !== trigger) asker.renew();
    asker.trigger = trigger;
  }, [trigger]);
  return answer;
}
