/** A task's state machine as a drawing laid out by hand: the usual ways, where the task is, and the way that it went. */
import { words } from '#/format.js';
import { classes, html } from '#/ui.js';

const WIDE = 112;
const TALL = 34;
/** Where each state stands; others are put below. */
const PLACES = {
  queued: [70, 150],
  assigned: [235, 150],
  in_progress: [400, 150],
  blocked: [235, 50],
  stuck: [400, 250],
  quarantined: [235, 250],
  completed: [590, 150],
  failed: [590, 250],
  cancelled: [590, 50],
};
/** The ways that are always drawn. All others are drawn only where the task went them. */
const USUAL = {
  'queued assigned': 'M126 150H176',
  'assigned in_progress': 'M291 150H341',
  'in_progress completed': 'M456 150H531',
  'in_progress failed': 'M440 167C470 210 490 250 531 250',
  'in_progress blocked': 'M400 133C400 85 350 50 294 50',
  'in_progress queued': 'M360 133C330 95 140 95 108 130',
  'in_progress stuck': 'M393 167V230',
  'stuck in_progress': 'M407 233V170',
  'in_progress quarantined': 'M365 167C350 215 330 240 294 246',
  'blocked queued': 'M179 50C110 50 70 85 70 130',
  'quarantined queued': 'M179 250C110 250 70 215 70 170',
};
const MOST_STEPS = 7;

/** @param {{lifecycle: {states: string[], transitions: [string, string, string[]][], at: string}, events: {event?: string}[]}} props */
export function Machine({ lifecycle, events }) {
  if (!lifecycle) return null;
  const { states, transitions, at } = lifecycle;
  const places = { ...PLACES };
  states.filter(each => !(each in PLACES)).forEach((each, index) => (places[each] = [70 + index * 165, 345]));
  const tall = states.every(each => each in PLACES) ? 290 : 380;
  const went = statuses(events.map(each => each.event), transitions);
  const gone = new Set(went.slice(1).map((each, index) => `${went[index]} ${each}`));
  const usual = transitions.map(([from, to]) => `${from} ${to}`).filter(each => each in USUAL && !gone.has(each));
  const onward = transitions.filter(([from]) => from === at).map(([, to]) => to);
  const usually = onward.filter(to => `${at} ${to}` in USUAL).map(words);
  const seldom = onward.filter(to => !(`${at} ${to}` in USUAL)).map(words);
  const shown = went.slice(-MOST_STEPS).map(words).join(' → ');
  return html`<figure class="machine">
    <svg viewBox=${`0 0 660 ${tall}`} role="img" aria-labelledby="machine-text">
      <defs>
        <marker id="tip-pale" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" class="tip-pale" /></marker>
        <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L8 4L0 8z" class="tip-gone" /></marker>
      </defs>
      ${usual.map(each => html`<path key=${each} class="way" marker-end="url(#tip-pale)" d=${USUAL[each]} />`)}
      ${[...gone].map(each => html`<path key=${each} class="way gone" marker-end="url(#tip)" d=${USUAL[each] ?? bent(...each.split(' ').map(name => places[name]))} />`)}
      ${states.map(each => {
        const [x, y] = places[each];
        return html`<g key=${each} class=${classes('state', each === at ? 'here' : went.includes(each) && 'been')}>
          <rect x=${x - WIDE / 2} y=${y - TALL / 2} width=${WIDE} height=${TALL} rx="7" />
          <text x=${x} y=${y + 4.5} text-anchor="middle">${words(each)}</text>
        </g>`;
      })}
    </svg>
    <figcaption id="machine-text">
      Now ${words(at)}. ${went.length > 1 ? `Its way: ${went.length > MOST_STEPS ? '… → ' : ''}${shown}. ` : ''}${!onward.length ? 'This is final.' : ''}${usually.length ? `Usually next: ${usually.join(', ')}. ` : ''}${seldom.length ? `Possible, too: ${seldom.join(', ')}.` : ''}
    </figcaption>
  </figure>`;
}

/**
 * Return the statuses that a task went through, by its events. What leads out of a lease and what follows are two events
 * of one append: such a transition is named by both, as in `expired, requeued`.
 */
function statuses(events, transitions) {
  const found = [];
  let first = '';
  for (const event of events) {
    const at = found.at(-1);
    const ways = transitions.filter(([from]) => at === undefined || from === at);
    const name = first ? `${first}, ${event}` : event;
    const taken = ways.filter(([, , names]) => names.includes(name) || names.includes(event));
    first = !taken.length && ways.some(([, , names]) => names.some(each => each.startsWith(`${event}, `))) ? event : '';
    if (event === 'submitted' && at === undefined) found.push('queued');
    else if (taken.length && new Set(taken.map(([, to]) => to)).size === 1) found.push(taken[0][1]);
  }
  return found;
}

/** A line from the edge of one state to the edge of another, bent so that there and back are two. */
function bent([x1, y1], [x2, y2]) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const bend = 10 + length * 0.13;
  const [bendX, bendY] = [(-(y2 - y1) / length) * bend, ((x2 - x1) / length) * bend];
  const [midX, midY] = [(x1 + x2) / 2 + bendX, (y1 + y2) / 2 + bendY];
  const [fromX, fromY] = edge(x1, y1, midX, midY);
  const [toX, toY] = edge(x2, y2, midX, midY);
  return `M${fromX} ${fromY}Q${midX} ${midY} ${toX} ${toY}`;
}

/** Where the line from a state's centre to a point leaves its box. */
function edge(x, y, towardsX, towardsY) {
  const [dx, dy] = [towardsX - x, towardsY - y];
  const part = Math.min(Math.abs((WIDE / 2 + 3) / (dx || 1e-6)), Math.abs((TALL / 2 + 3) / (dy || 1e-6)));
  return [Math.round(x + dx * part), Math.round(y + dy * part)];
}
