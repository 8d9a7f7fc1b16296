/** The server's time, carried on from its last beat; the browser's own clock may be wrong by hours. */
import { signal } from '@preact/signals-core';

let saidMs = Date.now();
let heardAt = performance.now();
let frozen = false;

/** The moment that the page shows, in ms since 1970, renewed every second. */
export const second = signal(Math.floor(saidMs / 1000) * 1000);

/** Return the server's time in ms since 1970; it stands still while the page is not live. */
export const serverNow = () => (frozen ? saidMs : saidMs + performance.now() - heardAt);

/** Take the server's word for what time it is. @param {string|undefined} text RFC 3339 */
export function setServerTime(text) {
  const at = Date.parse(text ?? '');
  if (Number.isNaN(at)) return;
  saidMs = at;
  heardAt = performance.now();
  renew();
}

/** Stand still at the last word, or go on. @param {boolean} still */
export function freeze(still) {
  if (still && !frozen) saidMs = serverNow();
  if (!still && frozen) heardAt = performance.now();
  frozen = still;
}

function renew() {
  second.value = Math.floor(serverNow() / 1000) * 1000;
}
setInterval(renew, 1000);
