/** The small parts of every view: times, links, tones, meters. */
import { useNow } from '#/moments.js';
import { absolute, clockTime, cut, duration, ms, NOTHING, relative, words } from '#/format.js';
import { href } from '#/router.js';
import { classes, html, styled } from '#/ui.js';
import { Term } from '#/parts/term.js';

/** A moment, relative; its title has the absolute. */
export function Ago({ at }) {
  const now = useNow();
  if (ms(at) === null) return html`<span class="faint">${NOTHING}</span>`;
  return html`<time datetime=${at} title=${absolute(at)}>${relative(at, now)}</time>`;
}

/** A moment by the local clock; its title has the day. */
export const Clock = ({ at }) =>
  ms(at) === null
    ? html`<span class="faint">${NOTHING}</span>`
    : html`<time datetime=${at} title=${absolute(at)}>${clockTime(ms(at))}</time>`;

/** How long something lasts that began at a moment. */
export function Since({ at }) {
  const now = useNow();
  if (ms(at) === null) return html`<span class="faint">${NOTHING}</span>`;
  return html`<time datetime=${at} title=${absolute(at)}>${duration(Math.max(0, Math.round((now - ms(at)) / 1000)))}</time>`;
}

/** How long until a moment; what is over says so: by `over`, or as in `12 s ago`. */
export function Until({ at, over }) {
  const now = useNow();
  if (ms(at) === null) return html`<span class="faint">${NOTHING}</span>`;
  const left = Math.round((ms(at) - now) / 1000);
  return html`<time datetime=${at} title=${absolute(at)} class=${left < 0 ? 'tone-stalled' : 'muted'}>
    ${left >= 0 ? duration(left) : over ? `${over} ${duration(-left)}` : relative(at, now)}
  </time>`;
}

/** A task's link: its title, if it has one, else its id. */
export const TaskLink = ({ id, title, ...rest }) =>
  id
    ? html`<a class="id" dir="auto" href=${href('task', id)} title=${title ? `${id}: ${title}` : id} ...${rest}>${cut(id, 80)}</a>`
    : html`<span class="faint">${NOTHING}</span>`;

export const AgentLink = ({ id, ...rest }) =>
  id
    ? html`<a class="id" dir="auto" href=${href('agent', id)} title=${id} ...${rest}>${cut(id, 80)}</a>`
    : html`<span class="faint">${NOTHING}</span>`;

/** A text of the log, cut where it is long; the title has all of it. `narrow`: its place may be too small for it. */
export const Text = ({ text, most = 160, className = '', narrow = false }) =>
  html`<span class=${classes('text', className)} dir="auto" title=${narrow || String(text ?? '').length > most ? text : undefined}>${cut(text, most)}</span>`;

const STATUS_TONES = { stuck: 'silent', quarantined: 'silent', failed: 'muted', blocked: 'stalled', in_progress: 'on', assigned: 'on' };

/** A task's status as a word with a mark of its tone. */
export const Status = ({ status, stalled }) =>
  html`<span class=${classes('status', `tone-${stalled ? 'stalled' : (STATUS_TONES[status] ?? 'muted')}`)}>
    ${words(status)}${stalled ? ', stalled' : ''}
  </span>`;

/** Per cent as a bar with its number. */
export function Meter({ value, label }) {
  if (value === null || value === undefined) return html`<span class="faint">${NOTHING}</span>`;
  const shown = Math.round(value);
  return html`<span class="meter" role="img" aria-label=${`${label} ${shown} per cent`}>
    <span class="meter-bar"><span class="meter-fill" ref=${styled({ width: `${Math.min(100, Math.max(0, shown))}%` })}></span></span>
    <span class="num" aria-hidden="true">${shown} %</span>
  </span>`;
}

/** What a view says while it has nothing to show. */
export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** A view's part with its heading. */
export const Panel = ({ title, id, aside, className = '', children }) =>
  html`<section class=${classes('panel', className)} aria-labelledby=${id}>
    <header class="panel-head"><h2 id=${id}>${title}</h2>${aside}</header>
    ${children}
  </section>`;

/** What a text is longer than that may not fit into its place: that one scrolls, so the keyboard has to reach it. */
const SHORT = 150;
const SHORT_LINES = 6;
const isLong = text => typeof text === 'string' && (text.length > SHORT || text.split('\n').length > SHORT_LINES);
const reached = (text, label) => (isLong(text) ? { tabindex: '0', role: 'group', 'aria-label': label } : {});

/** A question that waits for an answer. */
export const Question = ({ text, most = 4000, ...rest }) =>
  html`<blockquote dir="auto" ...${reached(text, 'Question')} ...${rest}>${cut(text, most)}</blockquote>`;

/** A text with its lines, such as an agent's last words. */
export const Lines = ({ text, label, most = 4000 }) =>
  html`<p class="text" dir="auto" ...${reached(text, label)}>${cut(text, most)}</p>`;

/** Names with values, as a list of terms. */
export const Facts = ({ of }) =>
  html`<dl class="facts">
    ${of
      .filter(([, value]) => value !== undefined && value !== null && value !== '')
      .map(([name, value]) => html`<div key=${name}><dt><${Term}>${name}<//></dt><dd dir="auto" tabindex=${isLong(value) ? '0' : undefined}>${typeof value === 'string' ? cut(value, 4000) : value}</dd></div>`)}
  </dl>`;
