/** One task: where it is, why, what happens next, and all that happened. */
import { cut, dayTime, ms, number, words } from '#/format.js';
import { queryOf } from '#/api.js';
import { useFetched } from '#/fetched.js';
import { momentQuery, pastPosition, shown } from '#/moments.js';
import { href } from '#/router.js';
import { classes, html, useSignal } from '#/ui.js';
import { Actions } from '#/parts/act.js';
import { History } from '#/parts/events.js';
import { Machine } from '#/parts/machine.js';
import { AgentLink, Ago, Clock, Facts, Lines, Meter, Panel, Question, Since, Status, TaskLink, Text, Until } from '#/parts/small.js';
import { Awaited, Stale } from '#/parts/stale.js';

/** Agents that are named for one reason. */
const MOST_AGENTS = 12;

export function Task({ id }) {
  const pool = useSignal(shown);
  const at = useSignal(pastPosition);
  const changed = useSignal(pool.tasksChanged);
  const { document, asOf, failure } = useFetched('/api/task', { id, ...momentQuery(at) }, at === null ? changed : 0);
  if (!document) return html`<${Awaited} failure=${failure} />`;
  const { task, row = {}, explain, events = [], lifecycle, handoffs = [], attempts = [], actions = [] } = document;
  const asks = task.status === 'blocked';
  return html`<div class=${classes('view-one', failure && 'stale')}>
    <${Stale} asOf=${asOf} failure=${failure} />
    <p class="headline"><${Status} status=${task.status} stalled=${task.stalled} /> <${Text} text=${task.title} most=${256} className="strong" /></p>
    ${row.waiting_because && row.waiting_because !== task.question ? html`<p class="reason">It waits because: <${Text} text=${row.waiting_because} most=${600} className="strong" /></p>` : null}
    <div class="row-actions">
      <${Actions} verbs=${actions} task_id=${id} holder=${task.agent_id} question=${task.question} title=${task.title} />
      <a class="aside-link" href=${`/api/postmortem${queryOf({ task: id })}`} target="_blank" rel="noopener">Post-mortem</a>
    </div>
    ${task.question ? html`<${Panel} title=${asks ? 'It asks' : 'It asked'} id="question" className=${classes('needs', !asks && 'calm')}><${Question} text=${task.question} /><//>` : null}
    <div class="halves">
      <div class="half">
        <${Why} explain=${explain} />
        <${Lease} task=${task} />
      </div>
      <div class="half">
        <${Panel} title="Where it is" id="machine"><${Machine} lifecycle=${lifecycle} events=${events} /><//>
        <${About} task=${task} />
      </div>
    </div>
    <${Attempts} attempts=${attempts} />
    <${Handoffs} handoffs=${handoffs} />
    <${Panel} title="Events" id="events" aside=${document.events_left_out ? html`<span class="faint">${number(document.events_left_out)} older ones are left out</span>` : null}>
      <${History} caption="Events of this task" events=${events} atMoment=${position => href('task', id, { at: position })} />
    <//>
  </div>`;
}

function Why({ explain }) {
  if (!explain) return null;
  const { headline, why = [], next = [], budgets = [], candidates = [] } = explain;
  return html`<${Panel} title="Why, and what next" id="why">
    <p class="explained" dir="auto">${cut(headline, 600)}</p>
    ${why.length ? html`<ul class="sentences">${why.map((each, index) => html`<li key=${index}><${Text} text=${each} most=${600} /></li>`)}</ul>` : null}
    ${next.length
      ? html`<h3>What happens next</h3>
          <ol class="next">${next.map((each, index) => html`<li key=${index}><span class="num next-when">${each.at ? html`<${Until} at=${each.at} over="due for" />` : 'at any time'}</span> <${Text} text=${each.what} most=${400} /></li>`)}</ol>`
      : null}
    ${candidates.length
      ? html`<h3>Who could take it</h3>
          <ul class="candidates">${byReason(candidates).map(([why, can, agents]) => html`<li key=${why} class=${can ? '' : 'faint'}>${can ? 'can' : 'cannot'}: <${Text} text=${why} most=${200} />: ${agents.slice(0, MOST_AGENTS).map(id => html`<${AgentLink} key=${id} id=${id} /> `)}${agents.length > MOST_AGENTS ? `and ${number(agents.length - MOST_AGENTS)} more` : ''}</li>`)}</ul>`
      : null}
    ${budgets.length ? html`<h3>Budgets</h3><ul class="sentences">${budgets.map((each, index) => html`<li key=${index}><${Text} text=${each} most=${300} /></li>`)}</ul>` : null}
  <//>`;
}

/** Agents with the same reason together: the reason, whether they can, and their ids. */
function byReason(candidates) {
  const found = new Map();
  for (const { agent_id, can, why } of candidates) {
    const known = found.get(why) ?? [why, can, []];
    known[2].push(agent_id);
    found.set(why, known);
  }
  return [...found.values()];
}

function Lease({ task }) {
  const { lease } = task;
  if (!lease) return null;
  return html`<${Panel} title="Lease" id="lease">
    <${Facts} of=${[
      ['Holder', html`<${AgentLink} id=${lease.agent_id} />`],
      ['Since', html`<${Since} at=${lease.granted_at} />`],
      ['Done', html`<${Meter} value=${lease.percent} label="done" />`],
      ['Silent for', html`<${Since} at=${lease.last_beat_at ?? lease.granted_at} />`],
      ['Lease left', html`<${Until} at=${lease.expires_at} over="over by" />`],
      ['Grace', lease.grace_s ? `${number(lease.grace_s)} s` : ''],
      ['Token', number(lease.token)],
      ['Reports', number(lease.reports)],
    ]} />
    ${lease.note ? html`<h3>Last words</h3><${Lines} text=${lease.note} label="Last words" />` : null}
    ${lease.checkpoint !== null && lease.checkpoint !== undefined ? html`<h3>Checkpoint</h3><${Json} value=${lease.checkpoint} label="Checkpoint" />` : null}
  <//>`;
}

const Json = ({ value, label }) => html`<pre class="json" tabindex="0" role="group" aria-label=${label} dir="auto">${cut(JSON.stringify(value, null, 2), 20_000)}</pre>`;

function Attempts({ attempts }) {
  if (!attempts.length) return null;
  return html`<${Panel} title="Attempts" id="attempts">
    <div class="scroll-x" tabindex="0" role="group" aria-labelledby="attempts"><table class="plain">
      <caption class="unseen">Attempts</caption>
      <thead><tr><th scope="col">Attempt</th><th scope="col">Agent</th><th scope="col">From</th><th scope="col">Until</th><th scope="col">Came to</th><th scope="col">Ended</th><th scope="col">Why</th></tr></thead>
      <tbody>${attempts.map(each => html`<tr key=${each.token}>
        <td class="num">${number(each.attempt)}</td><td><${AgentLink} id=${each.agent_id} /></td><td class="nowrap"><${Clock} at=${each.from} /></td>
        <td class="nowrap">${each.until ? html`<${Clock} at=${each.until} />` : 'runs'}</td><td><${Meter} value=${each.percent} label="done" /></td>
        <td class=${classes(each.end === 'expired' && 'tone-stalled')}>${each.end ? words(each.end) : ''}</td><td><${Text} text=${each.why ?? ''} most=${240} /></td>
      </tr>`)}</tbody>
    </table></div>
  <//>`;
}

function Handoffs({ handoffs }) {
  if (!handoffs.length) return null;
  return html`<${Panel} title="Hand-offs" id="handoffs">
    <ol class="handoffs">${handoffs.map(each => html`<li key=${each.position}>
      <p><${Clock} at=${each.at} /> after ${words(each.after)}${each.from_agent ? html` from <${AgentLink} id=${each.from_agent} />` : ''}${each.progress ? `, at ${number(each.progress)} %` : ''}</p>
      ${each.instructions || each.last_note ? html`<${Lines} text=${each.instructions || each.last_note} label="Instructions of this hand-off" most=${2000} />` : null}
      ${each.last_checkpoint !== null && each.last_checkpoint !== undefined ? html`<${Json} value=${each.last_checkpoint} label="Checkpoint of this hand-off" />` : null}
    </li>`)}</ol>
  <//>`;
}

function About({ task }) {
  const { outcome } = task;
  return html`<${Panel} title="What it is" id="about">
    <${Facts} of=${[
      ['Priority', words(task.priority)],
      ['Submitted', html`<${Ago} at=${task.submitted_at} />`],
      ['In this status', html`<${Since} at=${task.status_since} />`],
      ['Deadline', task.deadline ? html`<${Until} at=${task.deadline} over="over by" />` : ''],
      ['Not before', task.not_before ? dayTime(ms(task.not_before)) : ''],
      ['Needs', (task.required_capabilities ?? []).join(', ')],
      ['Labels', (task.labels ?? []).join(', ')],
      ['Retry of', task.retry_of ? html`<${TaskLink} id=${task.retry_of} />` : ''],
      ['Answer', task.answer],
      ['Outcome', outcome ? `${words(outcome.event)} by ${outcome.by}${outcome.detail ? `: ${cut(outcome.detail, 400)}` : ''}` : ''],
    ]} />
    ${task.payload !== null && task.payload !== undefined ? html`<h3>Payload</h3><${Json} value=${task.payload} label="Payload" />` : null}
    ${outcome?.result !== null && outcome?.result !== undefined ? html`<h3>Result</h3><${Json} value=${outcome.result} label="Result" />` : null}
  <//>`;
}
