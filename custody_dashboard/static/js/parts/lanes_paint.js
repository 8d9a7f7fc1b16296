/** Paints the lanes that are in view on a canvas. */
import { clockTime } from '#/format.js';
import { lane } from '#/parts/lanes_model.js';
import { colours } from '#/theme.js';

const NAMES = ['text', 'muted', 'faint', 'line', 'accent', 'accent-soft', 'ended', 'stalled', 'silent', 'panel', 'grace', 'tick'];
const STEPS_S = [10, 30, 60, 120, 300, 600, 1800];
/** The share of the width that lies ahead of now. */
const AHEAD = 0.14;

let palette = null;
/** Forget the colours: the theme has changed. */
export const forgetColours = () => (palette = null);

/**
 * Return what is where: the scale of time and of rows, in CSS pixels.
 * @param {{width: number, height: number, now: number, minutes: number, scroll: number, row: number, font: number}} view
 */
export function scale({ width, height, now, minutes, scroll, row, font }) {
  const label = Math.round(Math.min(width * 0.26, font * 13));
  const axis = Math.round(font * 1.9);
  const span = minutes * 60_000;
  const from = now - span;
  const to = now + (span * AHEAD) / (1 - AHEAD);
  const perMs = (width - label) / (to - from);
  return {
    width, height, label, axis, row, font, from, to, now,
    x: at => label + (Math.min(Math.max(at, from), to) - from) * perMs,
    y: index => axis + index * row - scroll,
    first: Math.max(0, Math.floor(scroll / row)),
    last: Math.ceil((scroll + height - axis) / row),
  };
}

/**
 * Paint, and return the rectangles of the bars for the pointer, and how many arrows were painted.
 * @returns {{boxes: {x: number, y: number, width: number, height: number, index: number, bar: import('./lanes_model.js').Bar}[], arrows: number}}
 */
export function paint(context, place, { ids, agents, lanes, arrows, chosen }) {
  palette ??= colours(NAMES);
  const { width, height, axis, first, last, font } = place;
  context.clearRect(0, 0, width, height);
  context.font = `${Math.round(font * 0.86)}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  grid(context, place);
  const found = [];
  context.save();
  context.beginPath();
  context.rect(0, axis, width, height - axis);
  context.clip();
  for (let index = first; index < Math.min(last, ids.length); index += 1) {
    row(context, place, index, ids[index], agents.get(ids[index]), chosen?.index === index);
    const { bars, slots } = lane(lanes.get(ids[index]) ?? NONE);
    for (const each of bars) {
      const box = boxOf(place, index, each, slots);
      if (box === null) continue;
      bar(context, place, each, box);
      if (chosen?.index === index && chosen.bar === each) outline(context, box);
      found.push({ ...box, index, bar: each });
    }
  }
  const painted = steals(context, place, ids, arrows);
  context.restore();
  return { boxes: found, arrows: painted };
}

const NONE = [];

function grid(context, place) {
  const { x, width, height, axis, label, from, to, now } = place;
  const steps = (width - label) / 90;
  const step = 1000 * (STEPS_S.find(each => (to - from) / 1000 / each <= steps) ?? STEPS_S.at(-1));
  context.textAlign = 'center';
  for (let at = Math.ceil(from / step) * step; at < to; at += step) {
    line(context, x(at), axis - 4, x(at), height, palette.line);
    context.fillStyle = palette.muted;
    const text = clockTime(at);
    if (Math.abs(x(at) - x(now)) > 46 && x(at) < width - 24) context.fillText(step % 60_000 ? text : text.slice(0, 5), x(at), axis / 2);
  }
  line(context, x(now), axis - 4, x(now), height, palette.accent);
  context.fillStyle = palette.accent;
  context.fillText('now', x(now), axis / 2);
}

function line(context, x1, y1, x2, y2, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(Math.round(x1) + 0.5, y1);
  context.lineTo(Math.round(x2) + 0.5, y2);
  context.stroke();
}

function row(context, place, index, id, agent, isChosen) {
  const { y, row: tall, width, label, font } = place;
  if (isChosen) {
    context.fillStyle = palette['accent-soft'];
    context.fillRect(0, y(index), width, tall);
  }
  const tone = agent?.tone ?? 'ok';
  const middle = y(index) + tall / 2;
  context.textAlign = 'left';
  context.fillStyle = tone === 'silent' || tone === 'lost' ? palette.silent : tone === 'stalled' ? palette.stalled : palette.ended;
  context.beginPath();
  context.arc(font * 0.45, middle, font * 0.24, 0, 7);
  context.fill();
  context.fillStyle = tone === 'ok' ? palette.text : context.fillStyle;
  context.fillText(fitted(context, id, label - font * 1.4), font, middle);
}

const fits = new Map();

/** Cut a name to a width; remembered, since measuring is slow. */
function fitted(context, text, width) {
  const key = `${Math.round(width)} ${context.font} ${text}`;
  let found = fits.get(key);
  if (found === undefined) {
    found = text.slice(0, 80);
    while (found.length > 1 && context.measureText(`${found}…`).width > width) found = found.slice(0, -1);
    if (found !== text) found += '…';
    if (context.measureText(text.slice(0, 200)).width <= width) found = text;
    if (fits.size > 4000) fits.clear();
    fits.set(key, found);
  }
  return found;
}

function boxOf({ x, y, row: tall, from, now }, index, each, slots) {
  const until = each.until ?? (each.stuck ? now : Math.max(now, each.grace ?? each.expires ?? now));
  if (until < from) return null;
  const gap = slots > 2 ? 1 : 2;
  const thick = (tall - 6) / slots;
  const left = x(each.from);
  return { x: left, y: y(index) + 3 + each.slot * thick, width: Math.max(2, x(until) - left), height: Math.max(2, thick - gap) };
}

function bar(context, { x, now }, each, box) {
  const fill = (from, to, colour) => {
    context.fillStyle = colour;
    context.fillRect(x(from), box.y, Math.max(to > from ? 1 : 0, x(to) - x(from)), box.height);
  };
  if (each.until !== null) {
    fill(each.from, each.until, palette.ended);
    if (each.end === 'expired') cross(context, x(each.until), box);
    ticks(context, each, x, box);
    return;
  }
  if (each.stuck) {
    fill(each.from, now, palette.silent);
    ticks(context, each, x, box);
    return;
  }
  const expires = each.expires ?? now;
  fill(each.from, Math.min(now, expires), palette.accent);
  if (expires < now) fill(expires, now, palette.stalled);
  if (expires > now) {
    fill(now, expires, palette['accent-soft']);
    // The pale fill alone is too like the panel.
    context.strokeStyle = palette.accent;
    context.lineWidth = 1;
    context.strokeRect(x(now) + 0.5, box.y + 0.5, Math.max(0, x(expires) - x(now) - 1), Math.max(0, box.height - 1));
  }
  if (each.grace !== null && each.grace > Math.max(now, expires)) hatch(context, x(Math.max(now, expires)), x(each.grace), box);
  ticks(context, each, x, box);
}

function ticks(context, each, x, box) {
  context.fillStyle = palette.tick;
  let before = -9;
  for (const at of each.ticks) {
    const place = Math.round(x(at));
    if (place - before < 5) continue;
    before = place;
    context.fillRect(place, box.y + box.height * 0.68, 1, box.height * 0.32);
  }
}

function hatch(context, from, to, { y, height }) {
  context.save();
  context.beginPath();
  context.rect(from, y, to - from, height);
  context.clip();
  context.strokeStyle = palette.grace;
  context.lineWidth = 1;
  context.beginPath();
  for (let x = from - height; x < to; x += 4) {
    context.moveTo(x, y + height);
    context.lineTo(x + height, y);
  }
  context.stroke();
  context.restore();
}

function cross(context, x, { y, height }) {
  const half = Math.min(5, height / 2);
  const middle = y + height / 2;
  context.strokeStyle = palette.stalled;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - half, middle - half);
  context.lineTo(x + half, middle + half);
  context.moveTo(x - half, middle + half);
  context.lineTo(x + half, middle - half);
  context.stroke();
}

function outline(context, box) {
  context.strokeStyle = palette.text;
  context.lineWidth = 2;
  context.strokeRect(box.x - 1, box.y - 1, box.width + 2, box.height + 2);
}

function steals(context, { x, y, row: tall, from, first, last }, ids, arrows) {
  if (!arrows.length) return 0;
  let painted = 0;
  const places = new Map(ids.map((id, index) => [id, index]));
  // Pale lines with strong heads: many arrows must not hide the bars.
  context.strokeStyle = palette.muted;
  context.fillStyle = palette.text;
  context.lineWidth = 1;
  for (const each of arrows) {
    const [one, other] = [places.get(each.from), places.get(each.to)];
    if (each.at < from || one === undefined || other === undefined) continue;
    if (Math.max(one, other) < first || Math.min(one, other) > last) continue;
    const across = Math.round(x(each.at)) + 0.5;
    const [start, end] = [y(one) + tall / 2, y(other) + tall / 2];
    const way = Math.sign(end - start);
    context.beginPath();
    context.moveTo(across, start);
    context.lineTo(across, end - way * 5);
    context.stroke();
    context.beginPath();
    context.moveTo(across, end);
    context.lineTo(across - 4, end - way * 7);
    context.lineTo(across + 4, end - way * 7);
    context.fill();
    painted += 1;
  }
  return painted;
}
