/** The stream of changes, and whether what is shown is live. It comes back by itself. */
import { signal } from '@preact/signals-core';
import { freeze, setServerTime } from '#/clock.js';
import { applyDelta, applyState, live } from '#/pool.js';

const SILENCE_MS = 3000;
const CHECK_MS = 500;
const AGAIN_MS = [500, 1000, 2000, 3000];
/** A browser has six connections to a host for all its tabs: one that nobody looks at gives its stream back. */
const HIDDEN_MS = 60_000;

/**
 * Whether the state is live: `starting` (nothing is known yet), `live`, `behind` (the dashboard follows the log and has
 * not reached its end), `disconnected` (the dashboard has no contact with the pool), `silent` (no word from the
 * dashboard for 3 s).
 */
export const contact = signal('starting');
/** The last beat's own words. */
export const beat = signal({});
/** When the last word came, by the server's clock, in RFC 3339. */
export const lastWord = signal(/** @type {string|null} */ (null));

let source = null;
let heardAt = 0;
let failures = 0;
let again = 0;
let onRefused = () => {};
let lastReopen = 0;
let hidden = 0;

/**
 * Listen for ever.
 * @param {() => void} refused called when a connection is refused, and when the server says `session`: it may have
 *   ended, or have other rights
 */
export function listen(refused) {
  onRefused = refused;
  connect();
  setInterval(judge, CHECK_MS);
  // A page that is kept for the way back would keep its connection, too.
  addEventListener('pagehide', pause);
  addEventListener('pageshow', event => event.persisted && connect());
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(pause, HIDDEN_MS);
    else if (source === null) connect();
  });
}

function connect() {
  clearTimeout(again);
  source?.close();
  source = new EventSource('/api/stream');
  source.addEventListener('state', event => heard(JSON.parse(event.data), applyState, true));
  source.addEventListener('delta', event => heard(JSON.parse(event.data), applyDelta));
  source.addEventListener('beat', event => heard(JSON.parse(event.data), takeBeat));
  source.addEventListener('session', () => onRefused());
  source.onerror = () => {
    // A broken connection is opened again by the browser, which says where it was; a refused one is not.
    if (source.readyState !== EventSource.CLOSED) return;
    onRefused();
    again = setTimeout(connect, AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)]);
  };
}

/** Let the connection go until someone looks again. */
function pause() {
  clearTimeout(again);
  source?.close();
  source = null;
}

function heard(document, apply, whole = false) {
  heardAt = performance.now();
  failures = 0;
  if (document.now) lastWord.value = document.now;
  apply(live, document);
  // First whether this is live: a time that is told while it is not must not move the clock.
  judge();
  setServerTime(document.now, whole);
}

function takeBeat(pool, document) {
  beat.value = document;
  if (document.mode !== undefined) pool.mode.value = document.mode;
}

const MODES = { live: 'live', behind: 'behind', starting: 'starting', disconnected: 'disconnected' };

function judge() {
  const silent = performance.now() - heardAt > SILENCE_MS;
  const found = silent
    ? live.loaded.peek()
      ? 'silent'
      : 'starting'
    : (MODES[String(live.mode.peek()).toLowerCase()] ?? 'live');
  freeze(found !== 'live');
  contact.value = found;
  // A connection that is open and says nothing is taken for lost.
  if (silent && source?.readyState === EventSource.OPEN && heardAt) {
    heardAt = performance.now() - SILENCE_MS - 1;
    if (performance.now() - lastReopen > 2 * SILENCE_MS) {
      lastReopen = performance.now();
      connect();
    }
  }
}
