/** The server's time, carried on from its last word; the browser's own clock may be wrong by hours. */
import { signal } from '@preact/signals-core';

let saidMs = Date.now();
let heardAt = performance.now();
let frozen = false;

/** The moment that the page shows, in ms since 1970, renewed every second. */
export const second = signal(Math.floor(saidMs / 1000) * 1000);

/** Return the server's time in ms since 1970; while the page is not live: the last one that was told while it was. */
export const serverNow = () => (frozen ? saidMs : saidMs + performance.now() - heardAt);

/**
 * Take the server's word for what time it is. While the clock stands still, only the moment of a whole state counts.
 * @param {string|undefined} text RFC 3339 @param {boolean} [whole] it is the moment of a whole state
 */
export function setServerTime(text, whole = false) {
  const at = Date.parse(text ?? '');
  if (Number.isNaN(at) || (frozen && !whole)) return;
  saidMs = at;
  heardAt = performance.now();
  renew();
}

/** Stand still at the last word, or go on from there. @param {boolean} still */
export function freeze(still) {
  if (still === frozen) return;
  frozen = still;
  heardAt = performance.now();
  renew();
}

function renew() {
  second.value = Math.floor(serverNow() / 1000) * 1000;
}
setInterval(renew, 1000);
