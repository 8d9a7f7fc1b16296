/** Morning report: what happened since a moment, in ten lines. */
import { useState } from 'preact/hooks';
import { queryOf } from '#/api.js';
import { absolute, dayTime, ms, number, parsedDayTime } from '#/format.js';
import { useFetched } from '#/fetched.js';
import { momentQuery, pastPosition, shownNow } from '#/moments.js';
import { href } from '#/router.js';
import { classes, html, useSignal } from '#/ui.js';
import { MomentField } from '#/parts/moment_field.js';
import { Empty, Text } from '#/parts/small.js';
import { Awaited, Stale } from '#/parts/stale.js';

const HOUR_MS = 3_600_000;
const CHOICES = [
  ['Last hour', () => shownNow() - HOUR_MS],
  ['Last 8 hours', () => shownNow() - 8 * HOUR_MS],
  ['Since 18:00', () => eveningBefore(shownNow())],
  ['Last 24 hours', () => shownNow() - 24 * HOUR_MS],
];
const AT_FIRST = 2;

/** The last six o'clock in the evening, by the local clock. */
function eveningBefore(now) {
  const date = new Date(now);
  date.setHours(18, 0, 0, 0);
  return date.getTime() > now ? date.getTime() - 24 * HOUR_MS : date.getTime();
}

const isoOf = at => new Date(at).toISOString();

export function Morning() {
  const at = useSignal(pastPosition);
  const [choice, setChoice] = useState(/** @type {number|null} */ (AT_FIRST));
  const [since, setSince] = useState(() => isoOf(CHOICES[AT_FIRST][1]()));
  const [text, setText] = useState(() => dayTime(ms(since)));
  const { document, asOf, failure } = useFetched('/api/morning', { since, ...momentQuery(at) });
  const choose = index => {
    const at = CHOICES[index][1]();
    setChoice(index);
    setSince(isoOf(at));
    setText(dayTime(at));
  };
  const submit = event => {
    event.preventDefault();
    setChoice(null);
    setSince(isoOf(parsedDayTime(text)));
  };
  return html`<div class=${classes('view-one', failure && document && 'stale')}>
    <div class="filters">
      <div class="chips" role="group" aria-label="Since">${CHOICES.map(([name], index) => html`<button key=${name} type="button" aria-pressed=${choice === index} onClick=${() => choose(index)}>${name}</button>`)}</div>
      <form class="filters" onSubmit=${submit}><${MomentField} label="Since" value=${text} onText=${setText} /><button type="submit">Show</button></form>
    </div>
    <${Stale} asOf=${asOf} failure=${failure} />
    <section class="panel" aria-labelledby="report">
      <header class="panel-head"><h2 id="report">Since ${dayTime(ms(document?.since ?? since))}</h2><span class="faint">${document ? `${number(document.events)} events, until ${dayTime(ms(document.until))}` : ''}</span></header>
      ${document?.events_left_out ? html`<p class="explained">The first ${number(document.events_left_out)} events since then are left out: there are too many. It begins at ${dayTime(ms(document.from))}.</p>` : null}
      ${document && !document.events_left_out && ms(document.from) - ms(document.since) > 1000 ? html`<p class="explained">The log begins at ${dayTime(ms(document.from))}: nothing is known of what was before.</p>` : null}
      ${!document ? html`<${Awaited} failure=${failure} doing="Reading the log…" />` : document.lines.length ? html`<ol class="report">${document.lines.map((line, index) => html`<${Line} key=${index} line=${line} until=${document.until} />`)}</ol>` : html`<${Empty}>Nothing happened.<//>`}
    </section>
  </div>`;
}

function Line({ line, until }) {
  const [name, address, outside] = target(line.link ?? {});
  return html`<li>
    ${line.first_at ? html`<span class="report-when num"><${Times} first=${line.first_at} last=${line.last_at} until=${until} /></span>` : null}
    <span class="report-text"><${Text} text=${line.text} most=${400} /></span>
    ${address ? html`<a class="aside-link" href=${address} target=${outside ? '_blank' : undefined} rel=${outside ? 'noopener' : undefined}>${name}</a>` : null}
  </li>`;
}

/** When something happened: `03:12:44`, or from the first to the last time; with the day, where that is another one. */
function Times({ first, last, until }) {
  const [from, to, end] = [first, last ?? first, until].map(each => dayTime(ms(each)));
  const short = text => (text.slice(0, 10) === end.slice(0, 10) ? text.slice(11) : text);
  return html`<time datetime=${first} title=${absolute(first)}>${short(from)}</time>${to === from ? null : html` – <time datetime=${last} title=${absolute(last)}>${from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : short(to)}</time>`}`;
}

/** Where a line leads: its name, its address, and whether that is a page of its own. */
function target({ kind, task_id, agent_id, status }) {
  switch (kind) {
    case 'postmortem':
      return [`Post-mortem of ${task_id ?? agent_id}`, `/api/postmortem${queryOf({ task: task_id, agent: agent_id })}`, true];
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
