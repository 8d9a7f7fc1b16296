/** Events in words. */
import { useState } from 'preact/hooks';
import { clockTime, count, ms, number, words } from '#/format.js';
import { href } from '#/router.js';
import { classes, html } from '#/ui.js';
import { AgentLink, Clock, Panel, TaskLink, Text } from '#/parts/small.js';
import { Term } from '#/parts/term.js';

/** Events that come all the time: several in a row are one line at first. */
const ROUTINE = new Set(['progressed', 'renewed', 'heartbeat', 'load_reported', 'late_progress']);
/** Events that many tasks have one after the other: several of one kind in a row are one line of the latest. */
const COMMON = new Set(['submitted', 'leased', 'started', 'completed', 'escalated', 'registered', 'requeued']);
/** Events that a reader looks for. */
const TELLING = new Set(['expired', 'failed', 'quarantined', 'blocked', 'stuck', 'stalled', 'lost', 'tail_lost', 'rearmed', 'expiry_held']);
const AT_FIRST = 14;
const MOST_NAMED = 4;

const nameOf = each => each.event ?? String(each.kind ?? '').split('.').at(-1);
const timeOf = each => each.at ?? each.time;
const Name = ({ each }) => html`<span class=${classes('kind', TELLING.has(nameOf(each)) && 'tone-stalled')}>${words(nameOf(each))}</span>`;

/** The latest events of the pool, the latest first. */
export function Recent({ lines }) {
  const [all, setAll] = useState(false);
  const listed = all ? lines.map(each => [each]) : runs(lines, each => COMMON.has(nameOf(each)) && nameOf(each)).slice(0, AT_FIRST);
  return html`<${Panel} title="What happened" id="recent" className="recent" aside=${html`<a href=${href('morning')}>Last night, in ten lines</a>`}>
    ${lines.length
      ? html`<ol class="lines" tabindex="0" aria-labelledby="recent">
          ${listed.map(run => html`<${Lately} key=${run.at(-1).position} run=${run} />`)}
          ${all || listed.length < lines.length ? html`<li><button type="button" class="quiet" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? 'Fewer' : `The latest ${number(lines.length)}`}</button></li>` : null}
        </ol>`
      : html`<p class="empty">Nothing yet.</p>`}
  <//>`;
}

const subject = each => (each.task_id ? html`<${TaskLink} key=${each.position} id=${each.task_id} /> ` : html`<${AgentLink} key=${each.position} id=${each.agent_id} /> `);

/** One of the latest events, or several of one kind in a row, the latest first. */
function Lately({ run }) {
  const [each] = run;
  if (run.length === 1) return html`<li><${Clock} at=${each.at} /> <${Name} each=${each} /> ${subject(each)}<${Text} text=${each.text} most=${200} /></li>`;
  return html`<li>
    <${Clock} at=${each.at} /> <${Name} each=${each} /> <span>${number(run.length)}:</span> ${run.slice(0, MOST_NAMED).map(subject)}
    ${run.length > MOST_NAMED ? html`<span>and ${number(run.length - MOST_NAMED)} more</span>` : null}
  </li>`;
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
      ${runs(events, each => ROUTINE.has(nameOf(each))).map(run => {
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
    <td class="nowrap"><${Name} each=${each} /></td>
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

/**
 * Gather events of one group that follow each other; two are left as they are.
 * @param {object[]} events @param {(event: object) => any} groupOf its group; false: it is in none
 */
function runs(events, groupOf) {
  const found = [];
  for (const each of events) {
    const group = groupOf(each);
    const before = found.at(-1);
    if (group && before?.group === group) before.events.push(each);
    else found.push({ group, events: [each] });
  }
  return found.flatMap(({ events: run }) => (run.length > 2 ? [run] : run.map(each => [each])));
}
