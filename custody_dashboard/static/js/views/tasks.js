/** Tasks: a table of all, with filters and search; only the rows in view are fetched. */
import { useEffect, useMemo, useReducer, useState } from 'preact/hooks';
import { count, NOTHING, words } from '#/format.js';
import { momentQuery, pastPosition, shown } from '#/moments.js';
import { requery, route } from '#/router.js';
import { classes, html, useSignal } from '#/ui.js';
import { Windows } from '#/windows.js';
import { AgentLink, Ago, Meter, Since, Status, TaskLink, Text, Until } from '#/parts/small.js';
import { Awaited, Stale } from '#/parts/stale.js';
import { Table } from '#/parts/table.js';

const STATUSES = ['queued', 'assigned', 'in_progress', 'stuck', 'blocked', 'quarantined', 'completed', 'failed', 'cancelled', 'ended'];
const SEARCH_AFTER_MS = 250;

const COLUMNS = [
  { key: 'task', name: 'Task', sort: 'task_id', cell: row => html`<${TaskLink} id=${row.task_id} title=${row.title} /> <span class="second"><${Text} text=${row.title ?? ''} most=${90} /></span>` },
  { key: 'title', name: 'Title', className: 'at-m', cell: row => html`<${Text} text=${row.title ?? ''} most=${120} narrow />` },
  { key: 'status', name: 'Status', sort: 'status', cell: row => html`<${Status} status=${row.status} stalled=${row.stalled} />` },
  { key: 'agent', name: 'Holder', sort: 'agent_id', className: 'at-m', cell: row => html`<${AgentLink} id=${row.agent_id} />` },
  { key: 'percent', name: 'Done', sort: 'percent', className: 'at-l', cell: row => html`<${Meter} value=${row.percent} label="done" />` },
  { key: 'silent', name: 'Silent for', sort: 'heard_at', className: 'num', cell: row => html`<${Since} at=${row.heard_at} />` },
  { key: 'expires', name: 'Lease left', sort: 'expires_at', className: 'num at-m', cell: row => html`<${Until} at=${row.expires_at} />` },
  { key: 'waiting', name: 'Waiting because', className: 'at-l', cell: row => html`<${Text} text=${row.waiting_because ?? ''} most=${140} narrow />` },
  { key: 'priority', name: 'Priority', sort: 'priority', className: 'at-xl', cell: row => words(row.priority) },
  { key: 'labels', name: 'Labels', className: 'at-xl', cell: row => html`<${Text} text=${(row.labels ?? []).join(', ')} most=${60} narrow />` },
  { key: 'submitted', name: 'Submitted', sort: 'submitted_at', className: 'num at-xl', cell: row => html`<${Ago} at=${row.submitted_at} />` },
  { key: 'attempt', name: 'Attempt', className: 'num at-xl', cell: row => row.attempt || NOTHING },
];

export function Tasks() {
  const pool = useSignal(shown);
  const at = useSignal(pastPosition);
  const { query } = useSignal(route);
  const { status, label, agent, q, sort, desc } = query;
  const [, again] = useReducer(number => number + 1, 0);
  const windows = useMemo(
    () => new Windows({ status, label, agent, q, sort, desc, ...momentQuery(at) }, again),
    [status, label, agent, q, sort, desc, at],
  );
  useEffect(() => () => windows.stop(), [windows]);
  const changed = useSignal(pool.tasksChanged);
  useEffect(() => {
    if (at === null && (windows.loaded || windows.asking)) windows.renew();
  }, [changed, windows]);
  return html`<div class=${classes('view-list', windows.failure && 'stale')}>
    <${Stale} asOf=${windows.asOf} failure=${windows.failure} />
    <div class="filters">
      <${Search} q=${q} />
      <select aria-label="Status" value=${status ?? ''} onChange=${event => requery({ status: event.target.value || null })}>
        <option value="">Not ended</option>
        ${STATUSES.map(each => html`<option key=${each} value=${each}>${words(each)}</option>`)}
      </select>
      <${Filter} name="label" value=${label} placeholder="Label" />
      <${Filter} name="agent" value=${agent} placeholder="Agent" />
      <span class="faint num" role="status">${windows.asOf !== null ? count(windows.total, 'task') : windows.failure ? '' : 'Looking…'}</span>
    </div>
    <${Table} caption="Tasks" columns=${COLUMNS} total=${windows.total} rowAt=${index => windows.rowAt(index)} keyOf=${row => row.task_id} sort=${sort ?? 'task_id'} desc=${desc === 'true'}
      onSort=${key => requery({ sort: key, desc: (sort ?? 'task_id') === key && desc !== 'true' ? 'true' : null })} onRange=${(first, last) => windows.show(first, last)} key=${`${status} ${label} ${agent} ${q}`}
      toneOf=${row => (row.stalled ? 'stalled' : ['stuck', 'quarantined'].includes(row.status) ? 'silent' : 'ok')} empty=${windows.asOf !== null ? 'No task fits.' : html`<${Awaited} failure=${windows.failure} doing="" />`} source=${windows} />
  </div>`;
}

function Search({ q }) {
  const [text, setText] = useState(q ?? '');
  useEffect(() => {
    if (text === (q ?? '')) return undefined;
    const timer = setTimeout(() => requery({ q: text || null }), SEARCH_AFTER_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<label class="grow"><span class="unseen">Search tasks</span><input id="search" type="search" placeholder="Search tasks  ( / )" value=${text} onInput=${event => setText(event.target.value)} /></label>`;
}

function Filter({ name, value, placeholder }) {
  const apply = event => requery({ [name]: event.target.value.trim() || null });
  return html`<input type="search" class="short" aria-label=${placeholder} placeholder=${placeholder} value=${value ?? ''} onChange=${apply} />`;
}
