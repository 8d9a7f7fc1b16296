/** Who is silent: the agents that were not heard in time, since when, and what they have or had. */
import { useMemo, useState } from 'preact/hooks';
import { number } from '#/format.js';
import { shown } from '#/moments.js';
import { href } from '#/router.js';
import { html, useSignal } from '#/ui.js';
import { AgentLink, Panel, Since, TaskLink } from '#/parts/small.js';

const AT_FIRST = 5;
const MOST_TASKS = 4;
const WORDS = { silent: 'not heard for', lost: 'lost, not heard for' };
const heardAt = row => row.heard_at ?? '';

export function Silent() {
  const pool = useSignal(shown);
  const agents = useSignal(pool.agents);
  const lanes = useSignal(pool.lanes);
  const [all, setAll] = useState(false);
  const silent = useMemo(
    () => [...agents.values()].filter(each => each.tone in WORDS).sort((one, other) => heardAt(other).localeCompare(heardAt(one))),
    [agents],
  );
  if (!silent.length) return html`<${Panel} title="Silent agents" id="silent" className="silent calm"><p class="empty">${agents.size ? 'Every agent was heard in time.' : 'No agent is registered.'}</p><//>`;
  return html`<${Panel} title="Silent agents" id="silent" className="silent" aside=${html`<a href=${href('agents', null, { sort: 'tone' })}>${number(silent.length)} of ${number(agents.size)}</a>`}>
    <ul class="brief">
      ${(all ? silent : silent.slice(0, AT_FIRST)).map(
        row => html`<li key=${row.agent_id}><span class="tone-silent strong"><${AgentLink} id=${row.agent_id} /></span> ${row.heard_at ? html`${WORDS[row.tone]} <${Since} at=${row.heard_at} />` : `${row.tone}, never heard`}; <${Work} row=${row} bars=${lanes.agents.get(row.agent_id)} /></li>`,
      )}
      ${silent.length > AT_FIRST ? html`<li><button type="button" class="quiet" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? 'Fewer' : `All ${number(silent.length)}`}</button></li>` : null}
    </ul>
  <//>`;
}

/** What an agent holds; of one that holds nothing: what expired with it in the lanes' time. */
function Work({ row, bars = [] }) {
  const held = (row.holds ?? []).map(each => each.task_id);
  const lost = [...new Set(bars.filter(each => each.end === 'expired').map(each => each.task_id))].reverse();
  const ids = held.length ? held : lost;
  if (!ids.length) return 'holds nothing';
  const left = (held.length ? row.held : ids.length) - Math.min(ids.length, MOST_TASKS);
  return html`${held.length ? 'holds' : 'held'} ${ids.slice(0, MOST_TASKS).map(id => html`<${TaskLink} key=${id} id=${id} /> `)}${left > 0 ? html`<span class="faint">and ${number(left)} more</span>` : null}`;
}
