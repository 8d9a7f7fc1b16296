/** What needs a person, the worst first, with what can be done about it. */
import { useState } from 'preact/hooks';
import { cut, number } from '#/format.js';
import { shown } from '#/moments.js';
import { classes, html, useSignal } from '#/ui.js';
import { Actions } from '#/parts/act.js';
import { AgentLink, Panel, Since, TaskLink, Text, Until } from '#/parts/small.js';

const KINDS = {
  writer_down: 'Service down',
  blocked: 'Question',
  quarantined: 'Quarantined',
  deadline: 'Deadline',
  stuck: 'Stuck',
  stalled: 'Stalled',
  unworkable: 'No agent can',
  lost_agent: 'Lost agent',
  flood: 'Flood',
};
const MILD = new Set(['stalled', 'deadline', 'flood']);
const AT_FIRST = 8;

export function Needs() {
  const pool = useSignal(shown);
  const { items, more = 0 } = useSignal(pool.needs);
  const [all, setAll] = useState(false);
  const total = items.length + more;
  const listed = all ? items : items.slice(0, AT_FIRST);
  if (!total) return html`<${Panel} title="Needs you" id="needs" className="needs calm"><p class="empty">Nothing needs you.</p><//>`;
  return html`<${Panel} title="Needs you" id="needs" className="needs" aside=${html`<span class="count num">${number(total)}</span>`}>
    <ul class="need-list">${listed.map(need => html`<${Need} key=${need.key} need=${need} />`)}</ul>
    ${items.length > AT_FIRST || more
      ? html`<p class="more">
          <button type="button" class="quiet" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? 'Fewer' : `All ${number(items.length)}`}</button>
          ${all && more ? html` <span class="faint">and ${number(more)} more that are not listed</span>` : null}
        </p>`
      : null}
  <//>`;
}

function Need({ need }) {
  const { kind, task_id, agent_id, since, title, detail, question, actions = [], task_ids = [] } = need;
  const each = kind === 'lost_agent';
  return html`<li class=${classes('need', MILD.has(kind) ? 'need-mild' : 'need-grave')}>
    <p class="need-head">
      <span class="kind">${KINDS[kind] ?? kind}</span>
      ${task_id ? html`<${TaskLink} id=${task_id} title=${title} />` : agent_id ? html`<${AgentLink} id=${agent_id} />` : null}
      <span class="when">${kind === 'deadline' ? html`<${Until} at=${since} over="over by" />` : html`<${Since} at=${since} />`}</span>
    </p>
    <p class="need-words">
      ${title && title !== task_id && title !== agent_id ? html`<${Text} text=${title} most=${140} className="strong" /> ` : null}
      <${Text} text=${detail} most=${320} />
    </p>
    ${question ? html`<blockquote dir="auto" title=${question}>${cut(question, 400)}</blockquote>` : null}
    ${each && task_ids.length
      ? html`<ul class="held-list">
          ${task_ids.slice(0, 6).map(id => html`<li key=${id}><${TaskLink} id=${id} /> <${Actions} verbs=${actions} task_id=${id} /></li>`)}
          ${task_ids.length > 6 ? html`<li class="faint">and ${task_ids.length - 6} more</li>` : null}
        </ul>`
      : html`<${Actions} verbs=${actions} task_id=${task_id ?? undefined} agent_id=${task_id ? undefined : (agent_id ?? undefined)} question=${question} title=${title} />`}
  </li>`;
}
