/** Agents: who is there, what each does, and since when it was not heard. */
import { useMemo, useState } from 'preact/hooks';
import { count, ms, NOTHING, number, words } from '#/format.js';
import { shown } from '#/moments.js';
import { requery, route } from '#/router.js';
import { html, useSignal } from '#/ui.js';
import { inOrder } from '#/parts/lanes_model.js';
import { AgentLink, Ago, Meter, TaskLink, Text } from '#/parts/small.js';
import { Table } from '#/parts/table.js';

const TONES = ['silent', 'stalled', 'lost', 'ok'];
const load = ({ load: found }) => (found && (found.cpu || found.memory) ? `${Math.round(found.cpu)} / ${Math.round(found.memory)} %` : NOTHING);
/** What a row is sorted by. */
const ORDERS = {
  tone: row => TONES.indexOf(row.tone ?? 'ok'),
  held: row => -(row.held ?? 0),
  percent: row => -(row.percent ?? -1),
  heard: row => ms(row.heard_at) ?? 0,
  load: row => -(row.load?.cpu ?? -1),
};

const COLUMNS = [
  { key: 'agent', name: 'Agent', sort: 'agent', cell: row => html`<${AgentLink} id=${row.agent_id} /> <span class="second"><${Text} text=${row.task || row.task_id || ''} most=${60} /></span>` },
  { key: 'tone', name: 'State', sort: 'tone', cell: row => html`<span class=${`status tone-${row.tone ?? 'ok'}`}>${stateOf(row)}</span>` },
  { key: 'held', name: 'Slots', sort: 'held', className: 'num', cell: row => `${number(row.held)} / ${number(row.slots)}` },
  { key: 'task', name: 'Task', className: 'at-m', cell: row => html`<${TaskLink} id=${row.task_id} title=${row.task} />` },
  { key: 'percent', name: 'Done', sort: 'percent', className: 'at-m', cell: row => html`<${Meter} value=${row.percent} label="done" />` },
  { key: 'words', name: 'Last words', className: 'at-m', cell: row => html`<${Text} text=${row.words ?? ''} most=${120} narrow />` },
  { key: 'heard', name: 'Last heard', sort: 'heard', className: 'num', cell: row => html`<${Ago} at=${row.heard_at} />` },
  { key: 'load', name: 'CPU / mem', sort: 'load', className: 'num at-l', cell: load },
  { key: 'intake', name: 'Intake', className: 'at-l', cell: row => words(row.intake) },
  { key: 'session', name: 'Session', className: 'at-xl', cell: row => html`<${Text} text=${row.session ?? NOTHING} most=${24} narrow />` },
];

function stateOf(row) {
  if (row.tone && row.tone !== 'ok') return words(row.tone);
  if (row.load_status === 'overloaded') return 'overloaded';
  return row.held ? 'working' : row.intake && row.intake !== 'open' ? words(row.intake) : 'free';
}

export function Agents() {
  const pool = useSignal(shown);
  const agents = useSignal(pool.agents);
  const { query } = useSignal(route);
  const [text, setText] = useState(query.q ?? '');
  const sort = query.sort ?? 'agent';
  const desc = query.desc === 'true';
  const order = useOrder(agents);
  const rows = useMemo(() => {
    const wanted = text.toLowerCase();
    const found = order
      .map(id => agents.get(id))
      .filter(row => row && (!query.tone || (row.tone ?? 'ok') === query.tone))
      .filter(row => !wanted || [row.agent_id, row.task_id, row.task, row.words].some(each => String(each ?? '').toLowerCase().includes(wanted)));
    if (ORDERS[sort]) found.sort((one, other) => ORDERS[sort](one) - ORDERS[sort](other));
    return desc ? found.reverse() : found;
  }, [agents, order, text, query.tone, sort, desc]);
  const tones = Map.groupBy ? Map.groupBy(agents.values(), row => row.tone ?? 'ok') : new Map();
  return html`<div class="view-list">
    <div class="filters">
      <label class="grow"><span class="unseen">Search agents</span><input id="search" type="search" placeholder="Search agents" value=${text} onInput=${event => setText(event.target.value)} /></label>
      <div class="chips" role="group" aria-label="State">
        <button type="button" aria-pressed=${!query.tone} onClick=${() => requery({ tone: null })}>All ${number(agents.size)}</button>
        ${TONES.map(tone => html`<button key=${tone} type="button" aria-pressed=${query.tone === tone} onClick=${() => requery({ tone: query.tone === tone ? null : tone })}>${tone} ${number(tones.get(tone)?.length ?? 0)}</button>`)}
      </div>
      <span class="faint num" role="status">${count(rows.length, 'agent')}</span>
    </div>
    <${Table} caption="Agents" columns=${COLUMNS} total=${rows.length} rowAt=${index => rows[index]} keyOf=${row => row.agent_id} sort=${sort} desc=${desc}
      onSort=${key => requery({ sort: key, desc: sort === key && !desc ? 'true' : null })} toneOf=${row => row.tone ?? 'ok'} empty="No agent fits." />
  </div>`;
}

/** The ids in an order that stays while the same agents are there. */
function useOrder(agents) {
  const kept = useMemo(() => ({ ids: [] }), []);
  if (kept.ids.length !== agents.size || kept.ids.some(id => !agents.has(id))) kept.ids = inOrder(agents.keys());
  return kept.ids;
}
