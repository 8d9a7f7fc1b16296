/** Lanes as numbers: what the painter and the keyboard work on. Parsed once for each list of segments. */
import { clockTime, cut, duration, ms, words } from '#/format.js';

const MOST_SLOTS = 6;
const parsed = new WeakMap();

/**
 * @typedef {object} Bar
 * @property {string} task_id
 * @property {number} from ms
 * @property {number|null} until ms; null: the lease runs
 * @property {string|null} end how it ended
 * @property {number|null} expires ms
 * @property {number|null} grace ms: until when its grace lasts
 * @property {number[]} ticks ms
 * @property {boolean} stuck its clock is stopped
 * @property {number} slot which of the lane's slots it is drawn in
 */

/** Return a lane's bars in the order of time, and how many are side by side. @param {object[]} segments */
export function lane(segments) {
  const known = parsed.get(segments);
  if (known) return known;
  const bars = segments.map(bar).filter(each => each.from !== null);
  bars.sort((one, other) => one.from - other.from);
  const free = [];
  for (const each of bars) {
    const found = free.findIndex(until => until <= each.from);
    each.slot = found < 0 ? Math.min(free.length, MOST_SLOTS - 1) : found;
    free[each.slot] = each.until ?? Infinity;
  }
  const made = { bars, slots: Math.max(1, free.length) };
  parsed.set(segments, made);
  return made;
}

function bar(segment) {
  return {
    task_id: segment.task_id,
    from: ms(segment.from),
    until: ms(segment.until),
    end: segment.end ?? null,
    expires: ms(segment.expires_at),
    grace: ms(segment.grace_until),
    stuck: segment.stuck === true,
    ticks: (segment.ticks ?? []).map(seconds => ms(segment.from) + seconds * 1000),
    slot: 0,
  };
}

/** What a bar is, in words. @param {string} agent @param {Bar} bar @param {number} now ms */
export function describe(agent, bar, now) {
  const from = clockTime(bar.from);
  const who = `${cut(bar.task_id, 60)} by ${cut(agent, 60)}`;
  const reports = bar.ticks.length ? ` ${bar.ticks.length} reports.` : '';
  if (bar.until !== null) {
    const held = duration(Math.round((bar.until - bar.from) / 1000));
    return `${who}: ${words(bar.end ?? 'ended')} after ${held}, ${from} to ${clockTime(bar.until)}.${reports}`;
  }
  const held = `held for ${duration(Math.round((now - bar.from) / 1000))}, since ${from}`;
  return `${who}: ${held}. ${left(bar, now)}${reports}`;
}

function left({ expires, grace, stuck }, now) {
  if (stuck) return 'It is stuck: its clock is stopped.';
  if (expires === null) return '';
  if (expires > now) return `Its lease expires in ${duration(Math.round((expires - now) / 1000))}.`;
  const past = duration(Math.round((now - expires) / 1000));
  const rest = grace !== null && grace > now ? `; its grace ends in ${duration(Math.round((grace - now) / 1000))}` : '';
  return `Its lease ran out ${past} ago${rest}.`;
}

const collator = new Intl.Collator('en', { numeric: true });

/** Return ids in an order that stays: W2 before W10. */
export const inOrder = ids => [...ids].sort(collator.compare);

/** Return how many lanes are of which tone, in words. */
export function summary(agents, ids, minutes) {
  const tones = {};
  for (const id of ids) {
    const tone = agents.get(id)?.tone ?? 'ok';
    tones[tone] = (tones[tone] ?? 0) + 1;
  }
  const others = ['silent', 'stalled', 'lost'].filter(tone => tones[tone]).map(tone => `${tones[tone]} ${tone}`);
  return `Leases of ${ids.length} agents over the last ${minutes} minutes${others.length ? `: ${others.join(', ')}` : ''}.`;
}
