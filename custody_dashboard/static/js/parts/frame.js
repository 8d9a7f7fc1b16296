/** The page around the views: header, navigation, what is not live, the past, what was done. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { spoken } from '#/announce.js';
import { words } from '#/format.js';
import { helpShown, VIEWS } from '#/keys.js';
import { live } from '#/pool.js';
import { href, route } from '#/router.js';
import { locked, logOut, refusal, session } from '#/session.js';
import { beat, contact } from '#/stream.js';
import { nextTheme, theme } from '#/theme.js';
import { classes, html, useSignal } from '#/ui.js';
import { failure, moment, past } from '#/moments.js';
import { ActDialog } from '#/parts/act.js';
import { Banner, Badge } from '#/parts/contact.js';
import { Help } from '#/parts/help.js';
import { Login } from '#/parts/login.js';
import { TimeBar } from '#/parts/time_bar.js';
import { Told } from '#/parts/told.js';
import { Agent } from '#/views/agent.js';
import { Agents } from '#/views/agents.js';
import { Morning } from '#/views/morning.js';
import { Now } from '#/views/now.js';
import { Past } from '#/views/past.js';
import { Statistics } from '#/views/statistics.js';
import { Steals } from '#/views/steals.js';
import { Task } from '#/views/task.js';
import { Tasks } from '#/views/tasks.js';

const SHOWS = {
  now: [Now, 'Now'],
  agents: [Agents, 'Agents'],
  agent: [Agent, 'Agent'],
  tasks: [Tasks, 'Tasks'],
  task: [Task, 'Task'],
  steals: [Steals, 'Steals'],
  statistics: [Statistics, 'Statistics'],
  past: [Past, 'Past'],
  morning: [Morning, 'Morning report'],
};

export function Frame() {
  const isLocked = useSignal(locked);
  return isLocked ? html`<${Login} />` : html`<${Page} />`;
}

function Page() {
  const { view, id } = useSignal(route);
  const isPast = useSignal(past) !== null;
  // What is on its way is not shown as the present meanwhile.
  const awaited = useSignal(moment) !== null && !isPast;
  const state = useSignal(contact);
  const loaded = useSignal(live.loaded);
  const { items, more = 0 } = useSignal(live.needs);
  const needs = items.length + more;
  const [View, name] = SHOWS[view] ?? SHOWS.now;
  const main = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) main.current?.focus({ preventScroll: true });
    if (!first.current) scrollTo(0, 0);
    first.current = false;
  }, [view, id]);
  useEffect(() => {
    document.title = `${needs ? `(${needs}) ` : ''}${id ?? name} · Custody`;
  }, [view, id, needs]);
  const stale = !isPast && loaded && state !== 'live';
  return html`
    <${Header} current=${view} />
    <${Banner} />
    <${TimeBar} />
    <main id="main" tabindex="-1" data-view=${id === null ? view : `${view}/${id}`} ref=${main} class=${classes('main', stale && 'stale', isPast && 'past')}>
      <h1 class=${view === 'now' ? 'unseen' : ''} dir="auto">${id === null ? name : `${name} ${id}`}</h1>
      ${awaited ? html`<${Awaited} />` : loaded || isPast ? html`<${View} id=${id} key=${`${view}/${id}`} />` : html`<${Waiting} />`}
    </main>
    <${Told} />
    <${ActDialog} />
    <${Help} />
    <${Speech} />`;
}

const Awaited = () => html`<p class="empty">${useSignal(failure) || 'Bringing that moment back…'}</p>`;

function Waiting() {
  const refused = useSignal(refusal);
  const whyNone = useSignal(session)?.why_no_stream;
  const { why } = useSignal(beat);
  return html`<p class="empty">${refused || whyNone || why || 'Waiting for the first word from the dashboard’s server.'}</p>`;
}

const Speech = () => html`<p class="unseen" role="status" aria-live="polite">${useSignal(spoken)}</p>`;

function Header({ current }) {
  const who = useSignal(session);
  const shade = useSignal(theme);
  const active = { agent: 'agents', task: 'tasks' }[current] ?? current;
  return html`<header class="top">
    <a class="brand" href=${href('now')}><span class="brand-name">Custody</span> <span class="pool" dir="auto">${who?.pool ?? ''}</span></a>
    <${Badge} />
    <${Views} active=${active} />
    <div class="tools">
      <span class="person" dir="auto" title=${who?.can_act ? 'You may act.' : (who?.why_not ?? '')}>${who?.person ?? ''}${who && !who.can_act ? ' (looks only)' : ''}</span>
      <button type="button" class="quiet" onClick=${nextTheme} title="Theme (t)" aria-label=${`Theme: ${words(shade)}. Change`}>◐ <span aria-hidden="true">${shade}</span></button>
      <button type="button" class="quiet" onClick=${() => (helpShown.value = true)} title="Keys (?)" aria-label="Keys and help">?</button>
      ${who?.by_token ? html`<button type="button" class="quiet" onClick=${logOut} id="log-out">Log out</button>` : null}
    </div>
  </header>`;
}

/** The views; where the window is narrow, those that are used less are under "More". */
function Views({ active }) {
  const narrow = useNarrow();
  const more = useRef(null);
  const link = ([key, view, name]) =>
    html`<a key=${view} href=${href(view)} aria-current=${active === view ? 'page' : undefined} aria-keyshortcuts=${key}>${name}</a>`;
  const first = narrow ? VIEWS.filter(([, view]) => FIRST_VIEWS.has(view)) : VIEWS;
  const others = narrow ? VIEWS.filter(([, view]) => !FIRST_VIEWS.has(view)) : [];
  const chosen = others.find(([, view]) => view === active);
  return html`<nav class="views" aria-label="Views">
    ${first.map(link)}
    ${others.length
      ? html`<details class="more-views" ref=${more} onClick=${event => event.target.closest('a') && (more.current.open = false)}>
          <summary class=${chosen ? 'chosen' : ''}>${chosen ? chosen[2] : 'More'} ▾</summary>
          <div class="more-list">${others.map(link)}</div>
        </details>`
      : null}
  </nav>`;
}

const FIRST_VIEWS = new Set(['now', 'agents', 'tasks', 'morning']);
const NARROW = matchMedia('(max-width: 640px)');

function useNarrow() {
  const [narrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const renew = () => setNarrow(NARROW.matches);
    NARROW.addEventListener('change', renew);
    return () => NARROW.removeEventListener('change', renew);
  }, []);
  return narrow;
}
