/** A task's state machine as a drawing, with where it is and where it can go from there. */
import { words } from '#/format.js';
import { classes, html } from '#/ui.js';

const WIDE = 112;
const TALL = 34;
/** Where each state stands; others are put below. */
const PLACES = {
  queued: [70, 130],
  assigned: [235, 130],
  in_progress: [400, 130],
  blocked: [235, 35],
  stuck: [400, 225],
  quarantined: [235, 225],
  completed: [575, 35],
  failed: [575, 130],
  cancelled: [575, 225],
};

export function Machine({ lifecycle }) {
  if (!lifecycle) return null;
  const { states, transitions, at } = lifecycle;
  const places = { ...PLACES };
  states.filter(each => !(each in PLACES)).forEach((each, index) => (places[each] = [70 + index * 165, 315]));
  const tall = states.every(each => each in PLACES) ? 270 : 350;
  const leaving = transitions.filter(([from]) => from === at);
  const onward = leaving.map(([, to]) => words(to)).join(', ');
  return html`<figure class="machine">
    <svg viewBox=${`0 0 650 ${tall}`} role="img" aria-labelledby="machine-text">
      <defs>
        <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" class="tip-head" /></marker>
      </defs>
      ${transitions.filter(([from]) => from !== at).map(([from, to]) => html`<path key=${`${from} ${to}`} class="way" d=${way(places[from], places[to])} />`)}
      ${leaving.map(([from, to, events]) => html`<path key=${`${from} ${to}`} class="way leaving" marker-end="url(#tip)" d=${way(places[from], places[to])}><title>${words(from)} to ${words(to)}: ${words([events ?? []].flat().join(' or '))}</title></path>`)}
      ${states.map(each => {
        const [x, y] = places[each];
        return html`<g key=${each} class=${classes('state', each === at && 'here')}>
          <rect x=${x - WIDE / 2} y=${y - TALL / 2} width=${WIDE} height=${TALL} rx="7" />
          <text x=${x} y=${y + 4.5} text-anchor="middle">${words(each)}</text>
        </g>`;
      })}
    </svg>
    <figcaption id="machine-text">Now ${words(at)}. ${onward ? `From here it can become ${onward}.` : 'This is final.'}</figcaption>
  </figure>`;
}

/** A line from the edge of one state to the edge of another, bent so that there and back are two. */
function way([x1, y1], [x2, y2]) {
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
