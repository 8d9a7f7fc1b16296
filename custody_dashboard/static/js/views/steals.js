/** Steals: work that was moved from one agent to another. */
import { number, NOTHING, words } from '#/format.js';
import { shown } from '#/moments.js';
import { html, useSignal } from '#/ui.js';
import { AgentLink, Clock, Empty, TaskLink, Text } from '#/parts/small.js';

export function Steals() {
  const pool = useSignal(shown);
  const steals = useSignal(pool.steals);
  if (!steals.length) return html`<${Empty}>No work was moved.<//>`;
  return html`<div class="panel scroll-x" tabindex="0" role="group" aria-label="Steals"><table class="plain">
    <caption class="unseen">Steals, the latest first</caption>
    <thead><tr>
      <th scope="col">Planned</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Tasks</th><th scope="col">Moved</th>
      <th scope="col">Outcome</th><th scope="col" class="at-m">Why</th><th scope="col" class="at-m">By</th>
    </tr></thead>
    <tbody>${steals.map(steal => html`<${Row} key=${steal.operation_id} steal=${steal} />`)}</tbody>
  </table></div>`;
}

function Row({ steal }) {
  const { plan = {}, outcome } = steal;
  const tasks = plan.task_ids ?? [];
  return html`<tr>
    <td class="nowrap"><${Clock} at=${steal.planned_at} /></td>
    <td><${AgentLink} id=${plan.from_agent} /></td>
    <td><${AgentLink} id=${plan.to_agent} /></td>
    <td>${tasks.slice(0, 3).map(id => html`<${TaskLink} key=${id} id=${id} /> `)}${tasks.length > 3 ? html`<span class="faint">and ${tasks.length - 3} more</span>` : null}</td>
    <td class="num">${outcome?.moved === undefined ? NOTHING : number(outcome.moved)}</td>
    <td>${words(steal.status)}${outcome?.reason ? html`: <${Text} text=${outcome.reason} most=${120} />` : null}</td>
    <td class="at-m"><${Text} text=${plan.reason ?? ''} most=${160} /></td>
    <td class="at-m"><${Text} text=${steal.by ?? ''} most=${40} /></td>
  </tr>`;
}
