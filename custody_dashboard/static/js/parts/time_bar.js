/** The slider over the log: puts every view into the past, and plays it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { clockTime, count, dayTime, duration, ms, number } from '#/format.js';
import { useFetched } from '#/fetched.js';
import { failure, loading, moment, past, showMoment, shownNow } from '#/moments.js';
import { serverNow } from '#/clock.js';
import { route } from '#/router.js';
import { classes, html, styled, useSignal } from '#/ui.js';

const STEPS = 2000;
const SETTLE_MS = 250;
const PLAY_EVERY_MS = 1000;
const SPEEDS = [1, 10, 60, 600];

export function TimeBar() {
  const at = useSignal(moment);
  const { view } = useSignal(route);
  return at === null && view !== 'past' ? null : html`<${Bar} />`;
}

function Bar() {
  const at = useSignal(moment);
  const pool = useSignal(past);
  const busy = useSignal(loading);
  const why = useSignal(failure);
  const { document: timeline, failure: unread } = useFetched('/api/timeline', {});
  const [dragged, setDragged] = useState(null);
  const [speed, setSpeed] = useState(0);
  const [factor, setFactor] = useState(60);
  const settle = useRef(0);
  const first = ms(timeline?.first_at) ?? serverNow() - 3_600_000;
  const end = Math.max(serverNow(), first + 1000);
  // A position has its time only once it is there.
  const named = at === null ? end : /^\d+$/.test(at) ? null : ms(at);
  const shownAt = dragged ?? named ?? (pool ? shownNow() : end);

  const show = time => showMoment(time >= end - 500 ? null : new Date(Math.max(first, time)).toISOString());
  const drag = event => {
    const time = first + (Number(event.target.value) / STEPS) * (end - first);
    setDragged(time);
    setSpeed(0);
    clearTimeout(settle.current);
    settle.current = setTimeout(() => {
      setDragged(null);
      show(time);
    }, SETTLE_MS);
  };
  const step = seconds => {
    setSpeed(0);
    show(shownAt + seconds * 1000);
  };
  usePlay(speed, busy, show);

  return html`<section class=${classes('time-bar', busy && 'busy')} aria-label="Time">
    <div class="time-head">
      <strong class="num">${at === null && dragged === null ? 'The present' : dayTime(shownAt)}</strong>
      <span class="faint num">${at === null ? '' : `${duration(Math.round((end - shownAt) / 1000))} ago`}${pool && at !== null ? `, position ${number(pool.position.peek())}` : ''}</span>
      <span role="status" class="faint">${why || (busy ? 'Bringing it back…' : unread && !timeline ? `The log’s span could not be read: ${unread.message}` : '')}</span>
      <span class="time-tools">
        <button type="button" onClick=${() => step(-60)} aria-label="−1 min: one minute earlier">−1 min</button>
        <button type="button" onClick=${() => step(-1)} aria-label="−1 s: one second earlier">−1 s</button>
        <button type="button" onClick=${() => setSpeed(speed ? 0 : factor)} aria-pressed=${speed > 0} disabled=${at === null}>${speed ? 'Halt' : 'Play'}</button>
        <select aria-label="Speed of play" value=${factor} onChange=${event => {
          setFactor(Number(event.target.value));
          if (speed) setSpeed(Number(event.target.value));
        }}>${SPEEDS.map(each => html`<option key=${each} value=${each}>${each}×</option>`)}</select>
        <button type="button" onClick=${() => step(1)} aria-label="+1 s: one second later">+1 s</button>
        <button type="button" onClick=${() => step(60)} aria-label="+1 min: one minute later">+1 min</button>
        ${at === null ? null : html`<button type="button" class="primary" onClick=${() => showMoment(null)}>Back to the present</button>`}
      </span>
    </div>
    <div class="slider">
      <${Histogram} buckets=${timeline?.buckets ?? []} />
      <input type="range" min="0" max=${STEPS} step="1" aria-label="Moment" aria-valuetext=${dayTime(shownAt)}
        value=${Math.round(((shownAt - first) / (end - first)) * STEPS)} onInput=${drag} />
    </div>
    <div class="slider-ends faint num"><span>${dayTime(first)}</span><span>${clockTime(end)}</span></div>
  </section>`;
}

/** Step on by the speed each second, once the last moment is there. */
function usePlay(speed, busy, show) {
  useEffect(() => {
    if (!speed || busy) return undefined;
    const timer = setTimeout(() => moment.peek() !== null && show(shownNow() + speed * PLAY_EVERY_MS), PLAY_EVERY_MS);
    return () => clearTimeout(timer);
  });
}

function Histogram({ buckets }) {
  const most = Math.max(1, ...buckets.map(each => each.events));
  const total = buckets.reduce((sum, each) => sum + each.events, 0);
  return html`<div class="histogram" role="img" aria-label=${`${count(total, 'event')} over the log's whole time`}>
    ${buckets.map(each => html`<i key=${each.at} ref=${styled({ height: `${Math.round(100 * Math.sqrt(each.events / most))}%` })}></i>`)}
  </div>`;
}
