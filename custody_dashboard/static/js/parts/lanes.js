/** Agents' lanes: who held what in the last minutes. A canvas that only paints what is in view. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { effect } from '@preact/signals-core';
import { cut, ms } from '#/format.js';
import { shown, shownNow } from '#/moments.js';
import { go, href } from '#/router.js';
import { rem } from '#/sizes.js';
import { repaint } from '#/theme.js';
import { html, useSignal } from '#/ui.js';
import { describe, inOrder, lane, summary } from '#/parts/lanes_model.js';
import { forgetColours, paint, scale } from '#/parts/lanes_paint.js';

const PAINT_EVERY_MS = 250;
const SPANS_MIN = [2, 5, 10];

export function Lanes() {
  const pool = useSignal(shown);
  const [busy, setBusy] = useState(false);
  const [minutes, setMinutes] = useState(10);
  const box = useRef(null);
  const canvas = useRef(null);
  const tip = useRef(null);
  const said = useRef(null);
  const view = useMemo(() => ({ ids: [], boxes: [], chosen: null, row: 24, timer: 0 }), []);

  useEffect(() => {
    const draw = drawer({ view, pool, box: box.current, canvas: canvas.current, minutes, busy });
    view.draw = draw.soon;
    const stops = [
      effect(() => {
        const ids = pool.agents.value.size ? [...pool.agents.value.keys()] : [...pool.lanes.value.agents.keys()];
        const lanes = pool.lanes.value.agents;
        renew(view, busy ? ids.filter(id => hasWork(lanes.get(id), shownNow() - minutes * 60_000)) : ids);
        draw.soon();
      }),
      effect(() => {
        void repaint.value;
        forgetColours();
        draw.soon();
      }),
    ];
    const observer = new ResizeObserver(draw.resized);
    observer.observe(box.current);
    const timer = setInterval(draw.soon, PAINT_EVERY_MS);
    box.current.addEventListener('scroll', draw.resized, { passive: true });
    return () => {
      stops.forEach(stop => stop());
      observer.disconnect();
      clearInterval(timer);
      box.current?.removeEventListener('scroll', draw.resized);
      draw.stop();
    };
  }, [pool, minutes, busy]);

  const show = (found, spoken = false) => tell({ found, spoken, view, tip: tip.current, said: said.current, box: box.current });
  const hover = event => show(under(view, canvas.current, event));
  const open = event => {
    const found = under(view, canvas.current, event);
    if (found?.bar) go('task', found.bar.task_id);
    else if (found) go('agent', view.ids[found.index]);
  };
  const key = event => {
    const moved = move(view, pool, event.key, box.current);
    if (!moved) return;
    event.preventDefault();
    view.draw();
    requestAnimationFrame(() => show(moved, true));
  };

  return html`<section class="panel lanes" aria-labelledby="lanes-title">
    <header class="panel-head">
      <h2 id="lanes-title">Leases, last ${minutes} minutes</h2>
      <span class="panel-tools">
        <label class="check"><input type="checkbox" checked=${busy} onChange=${event => setBusy(event.target.checked)} /> With work only</label>
        <select aria-label="Minutes shown" value=${minutes} onChange=${event => setMinutes(Number(event.target.value))}>
          ${SPANS_MIN.map(each => html`<option key=${each} value=${each}>${each} min</option>`)}
        </select>
      </span>
    </header>
    <${Summary} pool=${pool} minutes=${minutes} />
    <${Legend} />
    <div class="lanes-box" ref=${box} tabindex="0" role="application" aria-roledescription="lanes" aria-labelledby="lanes-title" aria-describedby="lanes-text"
      onKeyDown=${key} onBlur=${() => show(null)}>
      <div class="lanes-room"><canvas ref=${canvas} role="img" aria-labelledby="lanes-text" onPointerMove=${hover} onPointerLeave=${() => show(null)} onClick=${open}></canvas></div>
      <div class="tip" ref=${tip} hidden></div>
    </div>
    <p class="unseen" aria-live="polite" ref=${said}></p>
  </section>`;
}

const Legend = () => html`<ul class="legend" aria-label="What the drawing shows">
  <li><i class="swatch held" aria-hidden="true"></i>held, with a tick for each sign of life on record</li>
  <li><i class="swatch left" aria-hidden="true"></i>lease left</li>
  <li><i class="swatch grace" aria-hidden="true"></i>grace</li>
  <li><i class="swatch ended" aria-hidden="true"></i>ended</li>
  <li><i class="swatch-sign crossed" aria-hidden="true">✕</i>expired</li>
  <li><i class="swatch-sign" aria-hidden="true">↑</i>moved by a steal</li>
</ul>`;

/** The canvas in words, renewed only when the words change. */
function Summary({ pool, minutes }) {
  const agents = useSignal(pool.agents);
  return html`<p class="unseen" id="lanes-text">
    ${summary(agents, [...agents.keys()], minutes)} Arrow keys move between lanes and leases, Enter opens one.
    <a href=${href('agents')}>The same as a table</a>
  </p>`;
}

/** Whether a lane has a bar since a moment. */
const hasWork = (bars, since) => bars?.some(each => !each.until || ms(each.until) > since) ?? false;

/** Keep the order of lanes while the same agents are shown. */
function renew(view, ids) {
  const known = new Set(view.ids);
  if (ids.length !== known.size || ids.some(id => !known.has(id))) view.ids = inOrder(ids);
}

function drawer({ view, pool, box, canvas, minutes }) {
  let frame = 0;
  // Read when they change, and not for each frame: reading makes the browser lay out.
  const size = { width: 0, height: 0, scroll: 0 };
  const context = canvas.getContext('2d');
  const draw = () => {
    frame = 0;
    if (document.hidden) return;
    const font = rem();
    const axis = Math.round(font * 1.9);
    // A few lanes share the room that there is.
    const share = (size.height - axis) / Math.max(1, view.ids.length);
    view.row = Math.round(Math.min(Math.max(font * 1.7, share), font * 2.6));
    const { width } = size;
    const height = Math.min(size.height, view.ids.length * view.row + axis);
    const room = canvas.parentElement;
    const tall = `${view.ids.length * view.row + axis}px`;
    if (room.style.height !== tall) room.style.setProperty('height', tall);
    fit(canvas, context, width, height);
    const place = scale({ width, height, now: shownNow(), minutes, scroll: size.scroll, row: view.row, font });
    const { arrows, agents: lanes } = pool.lanes.peek();
    view.place = place;
    const painted = paint(context, place, {
      ids: view.ids,
      agents: pool.agents.peek(),
      lanes,
      arrows: arrows.map(arrow),
      chosen: view.chosen,
    });
    view.boxes = painted.boxes;
    canvas.dataset.bars = String(painted.boxes.length);
    canvas.dataset.arrows = String(painted.arrows);
  };
  const soon = () => (frame ||= requestAnimationFrame(draw));
  const resized = () => {
    Object.assign(size, { width: box.clientWidth, height: box.clientHeight, scroll: box.scrollTop });
    soon();
  };
  return { soon, resized, stop: () => cancelAnimationFrame(frame) };
}

const arrow = each => ({ at: ms(each.at), from: each.from_agent ?? each.from, to: each.to_agent ?? each.to });

function fit(canvas, context, width, height) {
  const ratio = devicePixelRatio || 1;
  const [wide, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width === wide && canvas.height === tall) return;
  canvas.width = wide;
  canvas.height = tall;
  canvas.style.setProperty('width', `${width}px`);
  canvas.style.setProperty('height', `${height}px`);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

/** What is under the pointer: a bar, or only a lane. */
function under(view, canvas, event) {
  if (!view.place) return null;
  const { left, top } = canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - left, event.clientY - top];
  const found = view.boxes.findLast(
    each => x >= each.x - 2 && x <= each.x + each.width + 2 && y >= each.y - 1 && y <= each.y + each.height + 1,
  );
  if (found) return found;
  const index = Math.floor((y - view.place.y(0)) / view.row);
  return y > view.place.axis && index >= 0 && index < view.ids.length && x < view.place.label
    ? { index, bar: null, x: 0, y: view.place.y(index), width: 0, height: view.row }
    : null;
}

/** Move the chosen lane and lease by a key; null: the key does nothing here. */
function move(view, pool, key, box) {
  const { chosen, ids } = view;
  if (!ids.length) return null;
  const bars = index => lane(pool.lanes.peek().agents.get(ids[index]) ?? []).bars;
  let index = chosen?.index ?? -1;
  let bar = chosen?.bar ?? null;
  if (key === 'ArrowDown' || key === 'ArrowUp') {
    index = Math.min(ids.length - 1, Math.max(0, index + (key === 'ArrowDown' ? 1 : -1)));
    bar = bars(index).at(-1) ?? null;
  } else if ((key === 'ArrowLeft' || key === 'ArrowRight') && index >= 0) {
    const all = bars(index);
    const at = all.findIndex(each => each === bar || (bar && each.from === bar.from && each.task_id === bar.task_id));
    bar = all[Math.min(all.length - 1, Math.max(0, at + (key === 'ArrowRight' ? 1 : -1)))] ?? null;
  } else if (key === 'Enter' && index >= 0) {
    if (bar) go('task', bar.task_id);
    else go('agent', ids[index]);
    return null;
  } else return null;
  view.chosen = { index, bar };
  const top = index * view.row;
  if (top < box.scrollTop) box.scrollTop = top;
  if (top + view.row * 3 > box.scrollTop + box.clientHeight) box.scrollTop = top + view.row * 3 - box.clientHeight;
  return view.chosen;
}

/** Show what a bar or lane is beside it; `spoken`: by voice too. */
function tell({ found, spoken, view, tip, said, box }) {
  if (!tip) return;
  tip.hidden = !found;
  if (!found) {
    view.chosen = null;
    view.draw?.();
    return;
  }
  const agent = view.ids[found.index];
  const row = shown.peek().agents.peek().get(agent);
  const text = found.bar ? describe(agent, found.bar, shownNow()) : `${cut(agent, 80)}: ${row?.tone ?? 'ok'}, holds nothing here.`;
  tip.textContent = text;
  if (spoken) said.textContent = text;
  const place = found.x === undefined ? view.boxes.find(each => each.index === found.index && each.bar === found.bar) : found;
  const y = (place?.y ?? view.place.y(found.index)) + box.scrollTop;
  const wide = Math.min(tip.offsetWidth, box.clientWidth - 16);
  const x = Math.min(Math.max(8, (place?.x ?? view.place.label) + 8), box.clientWidth - wide - 8);
  const below = y + view.row + tip.offsetHeight < box.scrollTop + box.clientHeight;
  tip.style.setProperty('left', `${x}px`);
  tip.style.setProperty('top', `${below ? y + view.row : y - tip.offsetHeight - 4}px`);
}
