/** Plots over time, drawn by uPlot, each with its latest values in words. */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clockTime, duration, number, shortDuration } from '#/format.js';
import { rem } from '#/sizes.js';
import { colours, repaint } from '#/theme.js';
import { html, useSignal } from '#/ui.js';

const TALL_REM = 12;
const STROKES = ['accent', 'muted'];
/** With more values than this each is no longer a point of its own. */
const MOST_POINTS = 120;
/** Steps of an axis of seconds: whole ones of its units, which `shortDuration` writes exactly. */
const OF_TIME = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/**
 * @param {{title: string, id: string, unit: string, at: number[], lines: [string, (number|null)[]][]}} props
 *   `unit`: 's' or none; `at`: seconds since 1970; a line: its name and its values
 */
export function Plot({ title, id, unit, at, lines }) {
  const place = useRef(null);
  const plot = useRef(null);
  const shade = useSignal(repaint);
  const [under, setUnder] = useState(null);
  const names = lines.map(([name]) => name).join();
  useEffect(() => {
    const element = place.current;
    const made = new uPlot(options(element, unit, lines, at.length, setUnder), data(at, lines), element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: tall() }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [names, unit, shade, at.length <= MOST_POINTS]);
  useEffect(() => plot.current?.setData(data(at, lines)), [at]);
  return html`<figure class="plot panel" aria-labelledby=${id}>
    <figcaption><h2 id=${id}>${title}</h2><p class="plot-latest">
      ${lines.map(
        ([name, values], index) =>
          html`<span key=${name} class="plot-line"><i class=${`stroke stroke-${STROKES[index]}`} aria-hidden="true"></i>${name} ${described(values, unit, under)}</span>`,
      )}
      ${under === null ? null : html`<span class="faint">at ${clockTime(at[under] * 1000).slice(0, 5)}</span>`}
    </p></figcaption>
    <div ref=${place} class="plot-place" aria-hidden="true"></div>
  </figure>`;
}

const tall = () => Math.round(TALL_REM * rem());
const data = (at, lines) => [at, ...lines.map(([, values]) => values)];

/** A line's value under the pointer; without one its last value and the highest. */
function described(values, unit, under) {
  const said = value => (unit === 's' ? duration(value) : number(value));
  if (under !== null) return said(values[under]);
  const known = values.filter(each => each !== null && each !== undefined);
  if (!known.length) return 'nothing yet';
  return `${said(known.at(-1))} last, ${said(Math.max(...known))} at most`;
}

function options(place, unit, lines, length, setUnder) {
  const shades = colours(['text', 'muted', 'line', 'accent', 'stalled']);
  const size = rem() * 0.8;
  const axis = { stroke: shades.muted, grid: { stroke: shades.line, width: 1 }, ticks: { show: false }, font: `${size}px system-ui` };
  return {
    width: Math.max(120, place.clientWidth),
    height: tall(),
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    hooks: { setCursor: [made => setUnder(made.cursor.idx ?? null)] },
    scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.08)] } },
    axes: [
      { ...axis, space: 70, size: size * 2.4, values: (_, splits) => splits.map(each => clockTime(each * 1000).slice(0, 5)) },
      { ...axis, size: size * 4.4, incrs: unit === 's' ? OF_TIME : WHOLE, values: (_, splits) => splits.map(each => (unit !== 's' ? number(each) : each < 10 ? duration(each) : shortDuration(each))) },
    ],
    series: [
      {},
      ...lines.map(([label], index) => ({
        label,
        stroke: shades[STROKES[index % STROKES.length]],
        width: 1.5,
        dash: index ? [5, 3] : undefined,
        points: { show: length <= MOST_POINTS, size: 4, fill: shades[STROKES[index % STROKES.length]] },
        spanGaps: false,
      })),
    ],
  };
}
