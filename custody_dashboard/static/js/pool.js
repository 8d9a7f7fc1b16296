/** The pool as the page knows it: a state, and the deltas since. Each part is a signal of its own. */
import { batch, signal } from '@preact/signals-core';

const KEPT_RECENT = 50;
const KEPT_STEALS = 50;
const KEPT_ARROWS = 200;

/** A set of signals that one document of the server fills: the live pool's, or a moment's of the past. */
export function createPool() {
  return {
    loaded: signal(false),
    position: signal(0),
    mode: signal('starting'),
    now: signal(/** @type {string|null} */ (null)),
    strip: signal({}),
    needs: signal({ items: [], more: 0 }),
    /** Agents' rows by id; a new Map whenever one changes. */
    agents: signal(new Map()),
    lanes: signal({ from: null, to: null, agents: new Map(), arrows: [] }),
    steals: signal([]),
    recent: signal([]),
    tasksChanged: signal(0),
  };
}

/** The pool as it is now. */
export const live = createPool();

/** Take a whole state. */
export function applyState(pool, state) {
  batch(() => {
    applyPlain(pool, state);
    pool.agents.value = new Map(Object.entries(state.agents ?? {}));
    const lanes = state.lanes ?? {};
    pool.lanes.value = {
      from: lanes.from ?? null,
      to: lanes.to ?? null,
      agents: new Map(Object.entries(lanes.agents ?? {})),
      arrows: lanes.arrows ?? [],
    };
    pool.steals.value = state.steals ?? [];
    pool.recent.value = state.recent ?? [];
    // A dashboard that has not read the log yet knows nothing: that is no empty pool.
    if (state.strip) pool.loaded.value = true;
  });
}

/** Take what changed. */
export function applyDelta(pool, delta) {
  batch(() => {
    applyPlain(pool, delta);
    if (delta.agents) pool.agents.value = changed(pool.agents.peek(), delta.agents);
    if (delta.lanes) pool.lanes.value = changedLanes(pool.lanes.peek(), delta.lanes);
    if (delta.steals) pool.steals.value = newestFirst(delta.steals, pool.steals.peek(), 'operation_id', KEPT_STEALS);
    if (delta.recent) pool.recent.value = newestFirst(delta.recent, pool.recent.peek(), 'position', KEPT_RECENT);
  });
}

function applyPlain(pool, document) {
  if (document.position !== undefined) pool.position.value = document.position;
  if (document.mode !== undefined) pool.mode.value = document.mode;
  if (document.now !== undefined) pool.now.value = document.now;
  if (document.strip) pool.strip.value = document.strip;
  if (document.needs) pool.needs.value = document.needs;
  if (document.tasks_changed !== undefined) pool.tasksChanged.value = document.tasks_changed;
}

function changed(before, { set = {}, gone = [] }) {
  const after = new Map(before);
  for (const [id, row] of Object.entries(set)) after.set(id, row);
  for (const id of gone) after.delete(id);
  return after;
}

/** Of each lane only the bars that changed come; what ended before the window's begin is dropped. */
function changedLanes(before, delta) {
  const agents = new Map(before.agents);
  const from = delta.from ?? before.from;
  const since = Date.parse(from ?? '');
  for (const [id, bars] of Object.entries(delta.agents ?? delta.set ?? {})) {
    const merged = new Map((agents.get(id) ?? []).map(each => [each.token, each]));
    for (const bar of bars) merged.set(bar.token, bar);
    const kept = [...merged.values()].filter(each => !each.until || !(Date.parse(each.until) < since));
    if (kept.length) agents.set(id, kept);
    else agents.delete(id);
  }
  for (const id of delta.gone ?? []) agents.delete(id);
  return { from, to: delta.to ?? before.to, agents, arrows: changedArrows(before.arrows, delta.arrows ?? []) };
}

const arrowKey = each => `${each.operation_id} ${each.from_agent} ${each.to_agent}`;

function changedArrows(before, added) {
  if (!added.length) return before;
  const merged = new Map([...before, ...added].map(each => [arrowKey(each), each]));
  return [...merged.values()].slice(-KEPT_ARROWS);
}

/** Merge new entries with known ones by a key; the newest stay, in the order of their positions. */
function newestFirst(added, known, key, most) {
  const merged = new Map(known.map(each => [each[key], each]));
  for (const each of added) merged.set(each[key], each);
  const order = each => each.position ?? Date.parse(each.planned_at ?? '') ?? 0;
  return [...merged.values()].sort((one, other) => order(other) - order(one)).slice(0, most);
}
