/** Why tasks wait: those that have waited longest, each with its reason, and a field that leads to any other. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { get } from '#/api.js';
import { number } from '#/format.js';
import { useFetched } from '#/fetched.js';
import { momentQuery, pastPosition, shown } from '#/moments.js';
import { go, href } from '#/router.js';
import { html, useSignal } from '#/ui.js';
import { Panel, Since, TaskLink, Text } from '#/parts/small.js';
import { Awaited, Stale } from '#/parts/stale.js';

const LISTED = 4;
const AGAIN_MS = 5000;

export function Waiting() {
  const pool = useSignal(shown);
  const at = useSignal(pastPosition);
  const { queued = 0 } = useSignal(pool.strip);
  const turn = useTurns(at === null);
  const query = { status: 'queued', sort: 'status_since', limit: LISTED, ...momentQuery(at) };
  const { document, asOf, failure } = useFetched('/api/tasks', query, `${turn} ${at === null && queued > 0}`);
  const rows = document?.rows ?? [];
  return html`<${Panel} title="Why does it wait?" id="waiting" className="waiting" aside=${html`<a href=${href('tasks', null, { status: 'queued', sort: 'status_since' })}>${number(queued)} queued</a>`}>
    <${Find} />
    <${Stale} asOf=${asOf} failure=${failure} />
    ${!document
      ? html`<${Awaited} failure=${failure} doing="" />`
      : rows.length
        ? html`<ul class="brief">${rows.map(row => html`<li key=${row.task_id}><${TaskLink} id=${row.task_id} title=${row.title} /> <${Since} at=${row.status_since} />: <${Text} text=${row.waiting_because} most=${140} /></li>`)}</ul>`
        : html`<p class="empty">No task is queued.</p>`}
  <//>`;
}

/** Count up now and then while a component asks for the present. */
function useTurns(isPresent) {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!isPresent) return undefined;
    const timer = setInterval(() => document.hidden || setTurn(each => each + 1), AGAIN_MS);
    return () => clearInterval(timer);
  }, [isPresent]);
  return turn;
}

/** A field for a task's id, or words of it: leads to the task, or to those that fit. */
function Find() {
  const at = useSignal(pastPosition);
  const field = useRef(null);
  const find = async event => {
    event.preventDefault();
    const text = field.current.value.trim();
    if (!text) return;
    const isTask = await get('/api/task', { id: text, ...momentQuery(at) }).then(() => true, () => false);
    if (isTask) go('task', text);
    else go('tasks', null, { q: text });
  };
  return html`<form class="find" role="search" onSubmit=${find}>
    <input ref=${field} type="search" aria-label="Find a task by its id, or by words" placeholder="A task’s id, or words of it" autocomplete="off" maxlength="200" />
    <button type="submit">Explain</button>
  </form>`;
}
