/** Past: what changed between two moments. The slider above puts every view into the past. */
import { useState } from 'preact/hooks';
import { get } from '#/api.js';
import { serverNow } from '#/clock.js';
import { dayTime, ms, NOTHING, number, parsedDayTime, words } from '#/format.js';
import { moment, shown, shownNow } from '#/moments.js';
import { live } from '#/pool.js';
import { href } from '#/router.js';
import { html, useSignal } from '#/ui.js';
import { MomentField } from '#/parts/moment_field.js';
import { AgentLink, Empty, Panel, TaskLink } from '#/parts/small.js';

const HOUR_MS = 3_600_000;
const MOST_ROWS = 200;

export function Past() {
  useSignal(shown);
  useSignal(moment);
  const [from, setFrom] = useState(() => dayTime(serverNow() - HOUR_MS));
  const [to, setTo] = useState('');
  const [diff, setDiff] = useState(null);
  const [refused, setRefused] = useState('');
  const compare = async event => {
    event.preventDefault();
    setRefused('Comparing…');
    try {
      setDiff(await get('/api/diff', { from: iso(from), to: to.trim() ? iso(to) : live.position.peek() }));
      setRefused('');
    } catch (error) {
      setRefused(error.message);
    }
  };
  return html`<div class="view-one">
    <p class="faint">Move the slider to put every view into the past: then look at <a href=${href('now')}>Now</a>, <a href=${href('agents')}>Agents</a> or <a href=${href('tasks')}>Tasks</a> as they were.</p>
    <${Panel} title="What changed between two moments" id="diff">
      <form class="filters" onSubmit=${compare}>
        <${MomentField} label="From" value=${from} onText=${setFrom} />
        <button type="button" onClick=${() => setFrom(dayTime(shownNow()))} aria-label="From the moment shown">The moment shown</button>
        <${MomentField} label="To" value=${to} onText=${setTo} empty="now" />
        <button type="button" onClick=${() => setTo(dayTime(shownNow()))} aria-label="To the moment shown">The moment shown</button>
        <button type="submit" class="primary">Compare</button>
        <span role="status" class="faint">${refused}</span>
      </form>
      ${diff ? html`<${Diff} diff=${diff} />` : null}
    <//>
  </div>`;
}

const iso = text => new Date(parsedDayTime(text) ?? NaN).toISOString();

function Diff({ diff }) {
  const counts = Object.entries(diff.counts ?? {}).filter(([, { before, after }]) => before !== after);
  return html`<p class="explained">${number(diff.events)} events from ${dayTime(ms(diff.from?.now))} (position ${number(diff.from?.position)}) to ${dayTime(ms(diff.to?.now))} (position ${number(diff.to?.position)}).</p>
    ${counts.length
      ? html`<h3>Counts</h3><div class="scroll-x" tabindex="0" role="group" aria-label="Counts before and after"><table class="plain narrow">
          <caption class="unseen">Counts before and after</caption>
          <thead><tr><th scope="col">What</th><th scope="col">Before</th><th scope="col">After</th><th scope="col">Change</th></tr></thead>
          <tbody>${counts.map(([name, { before, after }]) => html`<tr key=${name}><td>${words(name).replaceAll('.', ': ')}</td><td class="num">${number(before)}</td><td class="num">${number(after)}</td><td class="num">${after > before ? '+' : '−'}${number(Math.abs(after - before))}</td></tr>`)}</tbody>
        </table></div>`
      : null}
    <${Changes} title="Tasks" rows=${diff.tasks ?? []} more=${diff.more_tasks} link=${row => html`<${TaskLink} id=${row.task_id} />`} keyOf=${row => row.task_id} />
    <${Changes} title="Agents" rows=${diff.agents ?? []} more=${diff.more_agents} link=${row => html`<${AgentLink} id=${row.agent_id} />`} keyOf=${row => row.agent_id} />`;
}

function Changes({ title, rows, more = 0, link, keyOf }) {
  if (!rows.length) return html`<h3>${title}</h3><${Empty}>None changed.<//>`;
  const most = rows.slice(0, MOST_ROWS);
  const left = rows.length + more - most.length;
  return html`<h3>${title}</h3>
    <div class="scroll-x" tabindex="0" role="group" aria-label=${`${title} that changed`}><table class="plain">
      <caption class="unseen">${title} that changed</caption>
      <thead><tr><th scope="col">${title.slice(0, -1)}</th><th scope="col">Change</th><th scope="col">What</th></tr></thead>
      <tbody>${most.map(row => html`<tr key=${keyOf(row)}><td>${link(row)}</td><td>${words(row.change)}</td><td>${differences(row)}</td></tr>`)}</tbody>
    </table></div>
    ${left > 0 ? html`<p class="faint">and ${number(left)} more</p>` : null}`;
}

const plain = value => (value === null || value === undefined ? NOTHING : Array.isArray(value) ? value.join(', ') : words(value));

function differences({ before, after }) {
  if (!before || !after) return Object.entries(after ?? before ?? {}).filter(([, each]) => each !== null && each !== false).map(([name, value]) => `${words(name)} ${plain(value)}`).join(', ');
  return Object.keys(after).filter(name => JSON.stringify(before[name]) !== JSON.stringify(after[name])).map(name => `${words(name)}: ${plain(before[name])} → ${plain(after[name])}`).join(', ');
}
