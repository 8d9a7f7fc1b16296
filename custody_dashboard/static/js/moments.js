/** A moment of the past in place of the present: named by `at` in the address, a position or a time. */
import { computed, effect, signal } from '@preact/signals-core';
import { get } from '#/api.js';
import { second, serverNow } from '#/clock.js';
import { applyState, createPool, live } from '#/pool.js';
import { requery, route } from '#/router.js';
import { useSignal } from '#/ui.js';

/** The moment that is asked for; null: the present. */
export const moment = computed(() => route.value.query.at ?? null);
/** The past pool that is shown; null: the present. */
export const past = signal(/** @type {ReturnType<typeof createPool>|null} */ (null));
/** Whether a moment is on its way, and why one could not be had. */
export const loading = signal(false);
export const failure = signal('');
/** The pool that every view shows. */
export const shown = computed(() => past.value ?? live);

/** The position and the time of the past that is shown; null: the present. */
export const pastPosition = computed(() => {
  const pool = past.value;
  return pool && { position: pool.position.value, at: pool.now.value };
});
/** The same as a part of a query: ages are those of the time, not of the last event by then. */
export const momentQuery = moment => moment ?? {};

/** A moment as the server wants it: `{position}` or `{at}`. */
const asked = at => (/^\d+$/.test(at) ? { position: at } : { at });

let underWay = new AbortController();

effect(() => {
  const at = moment.value;
  underWay.abort();
  underWay = new AbortController();
  if (at === null) {
    past.value = null;
    loading.value = false;
    failure.value = '';
  } else {
    bring(at, underWay.signal);
  }
});

async function bring(at, signal) {
  loading.value = true;
  try {
    const state = await get('/api/at', asked(at), signal);
    const pool = createPool();
    applyState(pool, state);
    past.value = pool;
    failure.value = '';
  } catch (error) {
    if (signal.aborted) return;
    failure.value = error.message;
  }
  loading.value = false;
}

/** Show a moment: a position, a time in RFC 3339, or null for the present. */
export const showMoment = at => requery({ at: at === null ? null : String(at) });

/** The time of what is shown, in ms since 1970. */
export const shownNow = () => {
  const pool = shown.peek();
  return pool === live ? serverNow() : Date.parse(pool.now.peek() ?? '') || serverNow();
};

/** The same in a component, which is rendered again every second while the present is shown. */
export function useNow() {
  useSignal(second);
  useSignal(shown);
  return shownNow();
}
