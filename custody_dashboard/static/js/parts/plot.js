/** Plots over time, drawn by uPlot, each with its latest values in words. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { clockTime, number } from '#/format.js';
import { colours, repaint } from '#/theme.js';
import { html, useSignal } from '#/ui.js';

const TALL_REM = 12;
const STROKES = ['accent', 'muted', 'stalled', 'text'];

/**
 * @param {{title: string, id: string, unit: string, at: number[], lines: [string, (number|null)[]][]}} props
 *   `at`: seconds since 1970; a line: its name and its values
 */
export function Plot({ title, id, unit, at, lines }) {
  const place = useRef(null);
  const plot = useRef(null);
  const shade = useSignal(repaint);
  const names = lines.map(([name]) => name).join();
  useEffect(() => {
    const made = new uPlot(options(place.current, unit, lines), data(at, lines), place.current);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: place.current.clientWidth, height: tall() }));
    observer.observe(place.current);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [names, unit, shade]);
  useEffect(() => plot.current?.setData(data(at, lines)), [at]);
  return html`<figure class="plot panel" aria-labelledby=${id}>
    <figcaption><h2 id=${id}>${title}</h2><p class="plot-latest">${latest(lines, unit)}</p></figcaption>
    <div ref=${place} class="plot-place" aria-hidden="true"></div>
  </figure>`;
}

const tall = () => Math.round(TALL_REM * parseFloat(getComputedStyle(document.documentElement).fontSize));
const data = (at, lines) => [at, ...lines.map(([, values]) => values)];

/** The last value and the highest of each line. */
function latest(lines, unit) {
  return lines
    .map(([name, values]) => {
      const known = values.filter(each => each !== null && each !== undefined);
      if (!known.length) return `${name}: nothing yet`;
      return `${name}: last ${number(known.at(-1))}${unit}, most ${number(Math.max(...known))}${unit}`;
    })
    .join(' · ');
}

function options(place, unit, lines) {
  const shades = colours(['text', 'muted', 'line', 'accent', 'stalled']);
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.8;
  const axis = { stroke: shades.muted, grid: { stroke: shades.line, width: 1 }, ticks: { show: false }, font: `${size}px system-ui` };
  return {
    width: Math.max(120, place.clientWidth),
    height: tall(),
    legend: { live: true },
    cursor: { y: false },
    scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.08)] } },
    axes: [
      { ...axis, space: 70, size: size * 2.4, values: (_, splits) => splits.map(each => clockTime(each * 1000).slice(0, 5)) },
      { ...axis, size: size * 4.4, values: (_, splits) => splits.map(each => `${number(each)}${unit}`) },
    ],
    series: [
      { label: 'Time', value: (_, value) => (value === null ? '' : clockTime(value * 1000).slice(0, 5)) },
      ...lines.map(([label], index) => ({
        label,
        stroke: shades[STROKES[index % STROKES.length]],
        width: 1.5,
        dash: index ? [5, 3] : undefined,
        points: { show: false },
        spanGaps: false,
        value: (_, value) => (value === null || value === undefined ? '' : `${number(value)}${unit}`),
      })),
    ],
  };
}
