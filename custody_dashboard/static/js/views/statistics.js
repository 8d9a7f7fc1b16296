/** Statistics: the last hours as plots, and the counts of now. */
import { useEffect, useState } from 'preact/hooks';
import { clockTime, ms, number, words } from '#/format.js';
import { useFetched } from '#/fetched.js';
import { momentQuery, pastPosition } from '#/moments.js';
import { classes, html, useSignal } from '#/ui.js';
import { Facts, Panel } from '#/parts/small.js';
import { Awaited, Stale } from '#/parts/stale.js';
import { Plot } from '#/parts/plot.js';

const AGAIN_MS = 10_000;
const HOURS = [1, 6, 24];

const PLOTS = [
  ['Time to a grant', 'wait', 's', [['p50', 'wait_p50_s'], ['p95', 'wait_p95_s']]],
  ['Time from grant to completion', 'hold', 's', [['p50', 'hold_p50_s'], ['p95', 'hold_p95_s']]],
  ['Throughput, a minute', 'throughput', '', [['completed', 'completed'], ['submitted', 'submitted']]],
  ['Queue, at the end of each minute', 'queue', '', [['queued', 'queued']]],
  ['Age of the queue', 'age', 's', [['oldest', 'oldest_wait_s']]],
  ['Expired leases; false: holder came back', 'recoveries', '', [['expired', 'expired'], ['false', 'false_recoveries']]],
  ['Time to notice silence', 'notice', 's', [['p50', 'notice_p50_s'], ['p95', 'notice_p95_s']]],
  ['Tasks moved, a minute', 'stolen', '', [['moved', 'stolen']]],
];

const COUNTED = new Set(['completed', 'submitted', 'expired', 'false_recoveries', 'stolen']);

export function Statistics() {
  const at = useSignal(pastPosition);
  const [hours, setHours] = useState(1);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTurn(each => each + 1), AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  const { document, asOf, failure } = useFetched('/api/statistics', momentQuery(at), at === null ? turn : 0);
  if (!document) return html`<${Awaited} failure=${failure} />`;
  const series = document.series?.minute ?? {};
  const times = (series.at ?? []).slice(-hours * 60);
  // What is counted in a minute is not known before its end.
  const last = name => (series[name] ?? []).map((each, index, all) => (COUNTED.has(name) && index === all.length - 1 && index ? null : each)).slice(-hours * 60);
  return html`<div class=${classes('view-statistics', failure && 'stale')}>
    <${Stale} asOf=${asOf} failure=${failure} />
    <div class="filters">
      <div class="chips" role="group" aria-label="Hours">${HOURS.map(each => html`<button key=${each} type="button" aria-pressed=${hours === each} onClick=${() => setHours(each)}>${each} h</button>`)}</div>
      <span class="faint">${document.series_since ? `What was before ${clockTime(ms(document.series_since)).slice(0, 5)} is not counted here.` : ''}</span>
    </div>
    <div class="plots">
      ${PLOTS.filter(([, , , lines]) => lines.some(([, name]) => series[name])).map(
        ([title, id, unit, lines]) => html`<${Plot} key=${id} id=${`plot-${id}`} title=${title} unit=${unit} at=${times} lines=${lines.map(([name, key]) => [name, last(key)])} />`,
      )}
    </div>
    <${Counts} now=${document.statistics ?? {}} />
  </div>`;
}

/** The counts of `query.statistics`, each group as a list of terms. */
function Counts({ now }) {
  const groups = Object.entries(now).filter(([name, value]) => value && typeof value === 'object' && name !== 'average_duration_by_agent_s');
  return html`<div class="counts">
    ${groups.map(([name, values]) => html`<${Panel} key=${name} title=${words(name)} id=${`count-${name}`} className="count">
      <${Facts} of=${Object.entries(values).filter(([, each]) => typeof each === 'number').map(([key, each]) => [words(key), number(each)])} />
    <//>`)}
  </div>`;
}
