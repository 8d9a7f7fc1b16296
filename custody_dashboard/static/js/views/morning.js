/** Morning report: what happened since a moment, in ten lines. */
import { useState } from 'preact/hooks';
import { queryOf } from '#/api.js';
import { serverNow } from '#/clock.js';
import { dayTime, ms, number } from '#/format.js';
import { useFetched } from '#/fetched.js';
import { href } from '#/router.js';
import { classes, html } from '#/ui.js';
import { Empty, Text } from '#/parts/small.js';

const HOUR_MS = 3_600_000;
const CHOICES = [
  ['Last hour', () => serverNow() - HOUR_MS],
  ['Last 8 hours', () => serverNow() - 8 * HOUR_MS],
  ['Since 18:00', () => eveningBefore(serverNow())],
  ['Last 24 hours', () => serverNow() - 24 * HOUR_MS],
];

/** The last six o'clock in the evening, by the local clock. */
function eveningBefore(now) {
  const date = new Date(now);
  date.setHours(18, 0, 0, 0);
  return date.getTime() > now ? date.getTime() - 24 * HOUR_MS : date.getTime();
}

export function Morning() {
  const [choice, setChoice] = useState(2);
  const [since, setSince] = useState(() => new Date(CHOICES[2][1]()).toISOString());
  const { document, failure } = useFetched('/api/morning', { since });
  const choose = index => {
    setChoice(index);
    setSince(new Date(CHOICES[index][1]()).toISOString());
  };
  return html`<div class="view-one">
    <div class="filters"><div class="chips" role="group" aria-label="Since">${CHOICES.map(([name], index) => html`<button key=${name} type="button" aria-pressed=${choice === index} onClick=${() => choose(index)}>${name}</button>`)}</div></div>
    <section class="panel" aria-labelledby="report">
      <header class="panel-head"><h2 id="report">Since ${dayTime(ms(document?.since ?? since))}</h2></header>
      ${document?.events_left_out ? html`<p class="explained">The first ${number(document.events_left_out)} events since then are left out: there are too many.</p>` : null}
      ${!document ? html`<${Empty}>${failure?.message ?? 'Reading the log…'}<//>` : document.lines.length ? html`<ol class="report">${document.lines.map((line, index) => html`<${Line} key=${index} line=${line} />`)}</ol>` : html`<${Empty}>Nothing happened.<//>`}
    </section>
  </div>`;
}

function Line({ line }) {
  const [name, address, outside] = target(line.link ?? {});
  return html`<li>
    <span class="report-count num">${number(line.count)}</span>
    <span class="report-text"><${Text} text=${line.text} most=${400} /></span>
    ${address ? html`<a class=${classes('button', outside && 'outside')} href=${address} target=${outside ? '_blank' : undefined} rel=${outside ? 'noopener' : undefined}>${name}</a>` : null}
  </li>`;
}

/** Where a line leads: its name, its address, and whether that is a page of its own. */
function target({ kind, task_id, agent_id, status }) {
  switch (kind) {
    case 'postmortem':
      return ['Post-mortem', `/api/postmortem${queryOf({ task: task_id })}`, true];
    case 'task':
      return ['Task', href('task', task_id), false];
    case 'agent':
      return ['Agent', href('agent', agent_id), false];
    case 'tasks':
      return ['Tasks', href('tasks', null, { status }), false];
    case 'steals':
      return ['Steals', href('steals'), false];
    case 'needs':
      return ['Needs you', href('now'), false];
    case 'statistics':
      return ['Statistics', href('statistics'), false];
    default:
      return ['', null, false];
  }
}
