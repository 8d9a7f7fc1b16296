/** The strip: the pool in a few numbers. */
import { useMemo } from 'preact/hooks';
import { clockTime, duration, ms, NOTHING, number, shortDuration, words } from '#/format.js';
import { shown, useNow } from '#/moments.js';
import { href } from '#/router.js';
import { classes, html, useSignal } from '#/ui.js';
import { verbsOfPool } from '#/verbs.js';
import { Actions } from '#/parts/act.js';
import { Term } from '#/parts/term.js';

export function Strip() {
  const pool = useSignal(shown);
  const strip = useSignal(pool.strip);
  const position = useSignal(pool.position);
  const agents = useSignal(pool.agents);
  const quiet = useMemo(() => [...agents.values()].filter(each => each.tone === 'silent' || each.tone === 'lost').length, [agents]);
  const now = useNow();
  const oldest = ms(strip.oldest_since);
  const open = (strip.intake ?? 'open') === 'open';
  const served = strip.served === false ? 'not answering' : serverName(strip.served_by);
  const lastHour = strip.last_hour_since ? `since ${clockTime(ms(strip.last_hour_since)).slice(0, 5)} only` : 'last hour';
  const figures = [
    ['Served by', served, strip.served === false ? 'silent' : '', html`<${Term}>position<//> ${number(position)}`],
    ['Intake', open ? 'open' : words(strip.intake), open ? '' : 'stalled', strip.expiry_held ? 'expiry is held' : open ? 'gives out work' : 'gives out none'],
    ['Agents', number(strip.agents), '', quiet ? `${number(quiet)} silent or lost` : 'all heard', href('agents', null, quiet ? { sort: 'tone' } : {}), quiet ? 'silent' : ''],
    ['Held', number(strip.held), '', 'leases', href('tasks', null, { sort: 'expires_at' })],
    ['Queued', number(strip.queued), '', strip.delayed ? `${number(strip.delayed)} delayed` : 'none delayed', href('tasks', null, { status: 'queued' })],
    ['Oldest wait', oldest === null ? NOTHING : shortDuration(Math.max(0, (now - oldest) / 1000)), '', oldest === null ? 'nothing waits' : `since ${clockTime(oldest)}`],
    ['Throughput', number(strip.throughput_per_min), '', 'done a minute', href('statistics')],
    ['Expiries', number(strip.expiries_1h), '', html`<${Term} of="false recoveries">${number(strip.false_recoveries_1h)} false<//>, ${lastHour}`, null, strip.false_recoveries_1h ? 'stalled' : ''],
    ['Queue empty', ...emptyAt(strip, now)],
  ];
  return html`<section class="strip" aria-label="The pool in numbers">
    <dl>
      ${figures.map(
        ([name, value, tone, note, link, noteTone]) =>
          html`<div key=${name} class=${classes('figure', tone && `tone-${tone}`)}>
            <dt>${link ? html`<a href=${link}><${Term}>${name}<//></a>` : html`<${Term}>${name}<//>`}</dt>
            <dd class="value" dir="auto" title=${value}>${value}</dd>
            <dd class=${classes('note', noteTone && `tone-${noteTone}`)}>${note}</dd>
          </div>`,
      )}
    </dl>
    <${Actions} verbs=${verbsOfPool(strip.intake)} />
  </section>`;
}

/** Host and process of `host:process:start`. */
const serverName = text => (text ? text.split(':').slice(0, 2).join(' ') : NOTHING);

function emptyAt({ queued, backlog_empty_at: text }, now) {
  if (queued === 0) return ['now', '', 'nothing is queued'];
  const at = ms(text);
  if (at === null) return ['not soon', '', 'not shrinking'];
  return [`in ${duration(Math.max(0, Math.round((at - now) / 60_000) * 60))}`, '', `about ${clockTime(at).slice(0, 5)}`];
}
