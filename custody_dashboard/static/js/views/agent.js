/** One agent: what it is, what it holds, what it did. */
import { queryOf } from '#/api.js';
import { number, words } from '#/format.js';
import { useFetched } from '#/fetched.js';
import { momentQuery, pastPosition, shown } from '#/moments.js';
import { href } from '#/router.js';
import { classes, html, useSignal } from '#/ui.js';
import { verbsOfAgent } from '#/verbs.js';
import { Actions } from '#/parts/act.js';
import { History } from '#/parts/events.js';
import { Ago, Empty, Facts, Meter, Panel, TaskLink, Text } from '#/parts/small.js';
import { Awaited, Stale } from '#/parts/stale.js';

export function Agent({ id }) {
  const pool = useSignal(shown);
  const at = useSignal(pastPosition);
  const row = useSignal(pool.agents).get(id);
  const { document, asOf, failure } = useFetched('/api/agent', { id, ...momentQuery(at) }, row);
  if (!document) return html`<${Awaited} failure=${failure} />`;
  const agent = { ...document.agent, ...document.row, ...row };
  const holds = document.tasks ?? agent.holds ?? [];
  return html`<div class=${classes('view-one', failure && 'stale')}>
    <${Stale} asOf=${asOf} failure=${failure} />
    <p class="headline"><span class=${`status tone-${agent.tone ?? 'ok'}`}>${words(agent.tone && agent.tone !== 'ok' ? agent.tone : agent.status)}</span>
      <${Text} text=${agent.words ?? ''} most=${300} />
      ${document.agent || row ? html`<${Actions} verbs=${verbsOfAgent(agent)} agent_id=${id} />` : null}
      <a class="aside-link" href=${`/api/postmortem${queryOf({ agent: id })}`} target="_blank" rel="noopener">Post-mortem</a>
    </p>
    <${Panel} title="What it is" id="facts">
      <${Facts} of=${[
        ['Slots', `${number(agent.held ?? holds.length)} of ${number(agent.slots ?? agent.capacity)}`],
        ['Last heard', html`<${Ago} at=${agent.heard_at} />`],
        ['Intake', words(agent.intake)],
        ['Load', agent.load ? `CPU ${number(agent.load.cpu)} %, memory ${number(agent.load.memory)} %` : ''],
        ['Session', agent.session],
        ['Capabilities', (agent.capabilities ?? []).join(', ')],
        ['Labels', (agent.labels ?? []).join(', ')],
      ]} />
    <//>
    <${Panel} title="Holds" id="holds" aside=${html`<a href=${href('tasks', null, { agent: id })}>In the table</a>`}>
      ${holds.length
        ? html`<ul class="held-list">${holds.map(each => html`<li key=${each.task_id}><${TaskLink} id=${each.task_id} title=${each.title} /> <${Text} text=${each.title ?? ''} most=${100} /> <${Meter} value=${each.percent} label="done" /></li>`)}</ul>`
        : html`<${Empty}>Nothing.<//>`}
    <//>
    ${document.events?.length ? html`<${Panel} title="Events" id="events"><${History} caption="Events of this agent" events=${document.events} atMoment=${position => href('agent', id, { at: position })} /><//>` : null}
  </div>`;
}
