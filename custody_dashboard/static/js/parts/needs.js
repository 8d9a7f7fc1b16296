/** What needs a person, the worst first, with what can be done about it; needs of one kind together. */
import { useState } from 'preact/hooks';
import { number } from '#/format.js';
import { shown } from '#/moments.js';
import { href } from '#/router.js';
import { classes, html, useSignal } from '#/ui.js';
import { Actions } from '#/parts/act.js';
import { AgentLink, Panel, Question, Since, TaskLink, Text, Until } from '#/parts/small.js';

/** Of each kind its name, and the same of several. */
const KINDS = {
  writer_down: ['Service down', 'Service down'],
  blocked: ['Question', 'questions'],
  quarantined: ['Quarantined', 'tasks in quarantine'],
  deadline: ['Deadline', 'deadlines'],
  stuck: ['Stuck', 'stuck tasks'],
  stalled: ['Stalled', 'stalled tasks'],
  unworkable: ['No agent can', 'kinds of work that no agent can do'],
  lost_agent: ['Lost agent', 'lost agents'],
  flood: ['Flood', 'floods'],
};
const MILD = new Set(['stalled', 'deadline', 'flood']);
const AT_FIRST = 3;
/** So many needs are listed whole, whatever they are. */
const FEW = 6;

export function Needs() {
  const pool = useSignal(shown);
  const { items, more = 0 } = useSignal(pool.needs);
  const total = items.length + more;
  if (!total) return html`<${Panel} title="Needs you" id="needs" className="needs calm"><p class="empty">Nothing needs you.</p><//>`;
  return html`<${Panel} title="Needs you" id="needs" className="needs" aside=${html`<span class="count num">${number(total)}</span>`}>
    <ul class="need-list">${byKind(items).map(([kind, needs]) => html`<${Kind} key=${kind} kind=${kind} needs=${needs} few=${items.length <= FEW} />`)}</ul>
    ${more ? html`<p class="faint">and ${number(more)} more that are not listed</p>` : null}
  <//>`;
}

/** The needs of each kind, in the order of the first of each. */
function byKind(items) {
  const found = new Map();
  for (const each of items) found.set(each.kind, [...(found.get(each.kind) ?? []), each]);
  return [...found];
}

function Kind({ kind, needs, few }) {
  const [all, setAll] = useState(false);
  const listed = all || few ? needs : needs.slice(0, AT_FIRST);
  const [, several] = KINDS[kind] ?? [kind, kind];
  return html`${listed.map(need => html`<${Need} key=${need.key} need=${need} />`)}
    ${needs.length > listed.length || all
      ? html`<li class="need-more"><button type="button" class="quiet" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? 'Fewer' : `All ${number(needs.length)} ${several}`}</button></li>`
      : null}`;
}

function Need({ need }) {
  const { kind, task_id, agent_id, since, title, detail, question, actions = [], task_ids = [] } = need;
  const [name] = KINDS[kind] ?? [kind];
  return html`<li class=${classes('need', MILD.has(kind) ? 'need-mild' : 'need-grave')}>
    <p class="need-head">
      <span class="kind">${name}</span>
      ${task_id ? html`<${TaskLink} id=${task_id} title=${title} />` : agent_id ? html`<${AgentLink} id=${agent_id} />` : null}
      <span class="when">${kind === 'deadline' ? html`<${Until} at=${since} over="over by" />` : html`<${Since} at=${since} />`}</span>
    </p>
    <p class="need-words">
      ${title && title !== task_id && title !== agent_id ? html`<${Text} text=${title} most=${140} className="strong" /> ` : null}
      <${Text} text=${detail} most=${320} />
    </p>
    ${question ? html`<${Question} text=${question} most=${400} title=${question} />` : null}
    ${kind === 'unworkable'
      ? html`<p class="need-words">${task_ids.map(id => html`<${TaskLink} key=${id} id=${id} /> `)}<a href=${href('tasks', null, { status: 'queued', q: capabilities(need) })}>All that wait for it</a></p>`
      : kind === 'lost_agent' && task_ids.length
        ? html`<${Held} agent_id=${agent_id} task_ids=${task_ids} verbs=${actions} />`
        : html`<${Actions} verbs=${actions} task_id=${task_id ?? undefined} agent_id=${task_id ? undefined : (agent_id ?? undefined)} question=${question} title=${title} />`}
  </li>`;
}

/** What work needs that no agent can do: the rest of its key, such as `unworkable:gpu, linux`. */
const capabilities = ({ key }) => key.slice(key.indexOf(':') + 1).replaceAll(',', '');

/** What a lost agent holds, or held until its leases expired: only what it holds still can be taken from it. */
function Held({ agent_id, task_ids, verbs }) {
  const agents = useSignal(useSignal(shown).agents);
  const holds = new Set((agents.get(agent_id)?.holds ?? []).map(each => each.task_id));
  return html`<ul class="held-list">
    ${task_ids.slice(0, 6).map(
      id => html`<li key=${id}><${TaskLink} id=${id} /> ${holds.has(id) ? html`<${Actions} verbs=${verbs} task_id=${id} />` : html`<span class="faint">waits for another agent</span>`}</li>`,
    )}
    ${task_ids.length > 6 ? html`<li class="faint">and ${task_ids.length - 6} more</li>` : null}
  </ul>`;
}
