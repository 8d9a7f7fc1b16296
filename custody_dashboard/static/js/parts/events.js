/** Events in words. */
import { number, words } from '#/format.js';
import { html } from '#/ui.js';
import { AgentLink, Clock, Panel, TaskLink, Text } from '#/parts/small.js';

/** The latest events of the pool, the latest first. */
export const Recent = ({ lines }) =>
  html`<${Panel} title="What happened" id="recent" className="recent">
    ${lines.length
      ? html`<ol class="lines" tabindex="0" aria-labelledby="recent">
          ${lines.map(
            each =>
              html`<li key=${each.position}>
                <${Clock} at=${each.at} /> <span class="kind">${words(String(each.kind ?? '').split('.').at(-1))}</span>
                ${each.task_id ? html`<${TaskLink} id=${each.task_id} />` : html`<${AgentLink} id=${each.agent_id} />`}
                <${Text} text=${each.text} most=${200} />
              </li>`,
          )}
        </ol>`
      : html`<p class="empty">Nothing yet.</p>`}
  <//>`;

/** A history as a table, the latest last; each row leads to that moment. */
export const History = ({ caption, events, atMoment }) =>
  html`<div class="scroll-x" tabindex="0" role="group" aria-label=${caption}><table class="plain">
    <caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">Time</th><th scope="col">Event</th><th scope="col">What</th><th scope="col" class="at-m">By</th><th scope="col" class="at-m">Position</th></tr></thead>
    <tbody>
      ${events.map(
        each =>
          html`<tr key=${each.position}>
            <td class="nowrap"><${Clock} at=${each.at ?? each.time} /></td>
            <td class="nowrap">${words(each.event ?? String(each.kind ?? '').split('.').at(-1))}</td>
            <td><${Text} text=${each.what ?? each.text} most=${600} /></td>
            <td class="at-m"><${Text} text=${each.actor} most=${60} /></td>
            <td class="num at-m"><a href=${atMoment(each.position)} title="As it was then">${number(each.position)}</a></td>
          </tr>`,
      )}
    </tbody>
  </table></div>`;
