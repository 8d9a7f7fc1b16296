/** Events in words. */
import { useState } from 'preact/hooks';
import { clockTime, count, ms, number, words } from '#/format.js';
import { href } from '#/router.js';
import { html } from '#/ui.js';
import { AgentLink, Clock, Panel, TaskLink, Text } from '#/parts/small.js';
import { Term } from '#/parts/term.js';

/** Events that come all the time: several in a row are one line at first. */
const ROUTINE = new Set(['progressed', 'renewed', 'heartbeat', 'load_reported', 'late_progress']);
const AT_FIRST = 14;

const nameOf = each => each.event ?? String(each.kind ?? '').split('.').at(-1);
const timeOf = each => each.at ?? each.time;

/** The latest events of the pool, the latest first. */
export function Recent({ lines }) {
  const [all, setAll] = useState(false);
  const listed = all ? lines : lines.slice(0, AT_FIRST);
  return html`<${Panel} title="What happened" id="recent" className="recent" aside=${html`<a href=${href('morning')}>Last night, in ten lines</a>`}>
    ${lines.length
      ? html`<ol class="lines" tabindex="0" aria-labelledby="recent">
          ${listed.map(
            each =>
              html`<li key=${each.position}>
                <${Clock} at=${each.at} /> <span class="kind">${words(nameOf(each))}</span>
                ${each.task_id ? html`<${TaskLink} id=${each.task_id} />` : html`<${AgentLink} id=${each.agent_id} />`}
                <${Text} text=${each.text} most=${200} />
              </li>`,
          )}
          ${lines.length > AT_FIRST ? html`<li><button type="button" class="quiet" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? 'Fewer' : `The latest ${number(lines.length)}`}</button></li>` : null}
        </ol>`
      : html`<p class="empty">Nothing yet.</p>`}
  <//>`;
}

/** A history as a table, the latest last; each row leads to that moment. */
export function History({ caption, events, atMoment }) {
  const [open, setOpen] = useState(() => new Set());
  const toggle = position => {
    const changed = new Set(open);
    if (!changed.delete(position)) changed.add(position);
    setOpen(changed);
  };
  return html`<div class="scroll-x" tabindex="0" role="group" aria-label=${caption}><table class="plain">
    <caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">Time</th><th scope="col">Event</th><th scope="col">What</th><th scope="col" class="at-m">By</th><th scope="col" class="at-m"><${Term}>Position<//></th></tr></thead>
    <tbody>
      ${runs(events).map(run => {
        if (run.length === 1) return html`<${Row} key=${run[0].position} each=${run[0]} atMoment=${atMoment} />`;
        const isOpen = open.has(run[0].position);
        return [
          html`<${Run} key=${`run ${run[0].position}`} run=${run} isOpen=${isOpen} toggle=${() => toggle(run[0].position)} />`,
          ...(isOpen ? run.map(each => html`<${Row} key=${each.position} each=${each} atMoment=${atMoment} />`) : []),
        ];
      })}
    </tbody>
  </table></div>`;
}

const Row = ({ each, atMoment }) =>
  html`<tr>
    <td class="nowrap"><${Clock} at=${timeOf(each)} /></td>
    <td class="nowrap">${words(nameOf(each))}</td>
    <td><${Text} text=${each.what ?? each.text} most=${600} /></td>
    <td class="at-m"><${Text} text=${each.actor} most=${60} /></td>
    <td class="num at-m"><a href=${atMoment(each.position)} title="As it was then">${number(each.position)}</a></td>
  </tr>`;

/** Several routine events in a row, as one line that opens. */
function Run({ run, isOpen, toggle }) {
  const last = run.at(-1);
  const names = [...new Set(run.map(each => words(nameOf(each))))].join(', ');
  return html`<tr class="run">
    <td class="nowrap"><${Clock} at=${timeOf(run[0])} /></td>
    <td class="nowrap">${names}</td>
    <td><button type="button" class="quiet small" aria-expanded=${isOpen} onClick=${toggle}>${isOpen ? '▾' : '▸'} ${count(run.length, 'event')} until ${clockTime(ms(timeOf(last)))}</button> <span class="faint">the last: <${Text} text=${last.what ?? last.text} most=${200} /></span></td>
    <td class="at-m"><${Text} text=${last.actor} most=${60} /></td>
    <td class="num at-m">${number(run[0].position)} – ${number(last.position)}</td>
  </tr>`;
}

/** Gather routine events that follow each other; two are shown as they are. */
function runs(events) {
  const found = [];
  for (const each of events) {
    const routine = ROUTINE.has(nameOf(each));
    const before = found.at(-1);
    if (routine && before?.routine) before.events.push(each);
    else found.push({ routine, events: [each] });
  }
  return found.flatMap(({ events: run }) => (run.length > 2 ? [run] : run.map(each => [each])));
}
