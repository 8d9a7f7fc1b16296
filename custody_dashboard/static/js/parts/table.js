/** A table of any length: rows of one height, of which only those in view exist. */
import { useEffect, useLayoutEffect, useReducer, useRef } from 'preact/hooks';
import { rem } from '#/sizes.js';
import { classes, html, styled } from '#/ui.js';
import { Term } from '#/parts/term.js';

const SPARE_ROWS = 6;
/** No browser scrolls further than some tens of millions of pixels; a longer table is scrolled in larger steps. */
const MOST_PX = 8_000_000;
const NARROW = matchMedia('(max-width: 640px)');

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} name
 * @property {(row: any) => any} cell
 * @property {string} [className] `at-m`, `at-l`, `at-xl`: only shown from that width on
 * @property {boolean|string} [sort] whether rows can be sorted by it; a text: the name of the order
 */

/**
 * @param {{caption: string, columns: Column[], total: number, rowAt: (index: number) => any, keyOf: (row: any) => string,
 *   sort?: string, desc?: boolean, onSort?: (key: string) => void, onRange?: (first: number, last: number) => void,
 *   toneOf?: (row: any) => string, empty?: any, source?: any}} props
 *   `source`: what rows come from; another one is told the range again
 */
export function Table({ caption, columns, total, rowAt, keyOf, sort, desc, onSort, onRange, toneOf, empty, source }) {
  const box = useRef(null);
  const wanted = useRef(null);
  const [, again] = useReducer(count => count + 1, 0);
  const tall = rowHeight();
  const room = Math.min(total * tall, MOST_PX);
  const { first, last } = range(box.current, total, tall, room);

  useEffect(() => {
    let frame = 0;
    const soon = () => (frame ||= requestAnimationFrame(() => ((frame = 0), again())));
    const observer = new ResizeObserver(soon);
    observer.observe(box.current);
    const element = box.current;
    element.addEventListener('scroll', soon, { passive: true });
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame);
      element.removeEventListener('scroll', soon);
    };
  }, []);
  useEffect(() => onRange?.(first, last), [first, last, source]);
  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const link = box.current.querySelector(`tr[data-index="${wanted.current}"] a`);
    if (!link) return;
    wanted.current = null;
    link.focus({ preventScroll: true });
  });

  const key = event => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (!step || event.target.closest('input, select') || !total) return;
    event.preventDefault();
    const at = event.target.closest('tr[data-index]');
    const next = at ? Number(at.dataset.index) + step : first;
    wanted.current = Math.min(total - 1, Math.max(0, next));
    reveal(box.current, wanted.current, tall, total, room);
    again();
  };

  const rows = [];
  for (let index = first; index < last; index += 1) rows.push(index);
  const top = offset(first, total, tall, room, box.current);
  return html`<div class="table-box" ref=${box} tabindex="0" role="region" aria-label=${caption} onKeyDown=${key}>
    <table class="rows" aria-rowcount=${total + 1}>
      <caption class="unseen">${caption}</caption>
      <thead>
        <tr aria-rowindex="1">
          ${columns.map(each => html`<${Head} key=${each.key} column=${each} sort=${sort} desc=${desc} onSort=${onSort} />`)}
        </tr>
      </thead>
      <tbody>
        ${top > 0 ? html`<tr key="above" class="spacer" aria-hidden="true"><td ref=${styled({ height: `${top}px` })}></td></tr>` : null}
        ${rows.map(index => {
          const row = rowAt(index);
          return html`<tr key=${row ? keyOf(row) : `at ${index}`} data-index=${index} aria-rowindex=${index + 2} class=${row && toneOf ? `row-${toneOf(row)}` : ''}>
            ${columns.map(
              ({ key: name, className, cell }) =>
                html`<td key=${name} class=${classes(className, `col-${name}`)}><div class="cell">${row ? cell(row) : html`<span class="faint">…</span>`}</div></td>`,
            )}
          </tr>`;
        })}
        ${html`<tr key="below" class="spacer" aria-hidden="true"><td ref=${styled({ height: `${Math.max(0, room - top - rows.length * tall)}px` })}></td></tr>`}
      </tbody>
    </table>
    ${total === 0 && empty ? html`<div class="empty">${empty}</div>` : null}
  </div>`;
}

function Head({ column: { key, name, sort: sortable, className }, sort, desc, onSort }) {
  const order = typeof sortable === 'string' ? sortable : key;
  const active = sortable && sort === order;
  return html`<th scope="col" class=${classes(className, `col-${key}`)} aria-sort=${active ? (desc ? 'descending' : 'ascending') : undefined}>
    ${sortable && onSort
      ? html`<button type="button" class="sort" onClick=${() => onSort(order)}><${Term}>${name}<//><span class=${classes('sort-mark', active && 'sorted')} aria-hidden="true">${active ? (desc ? '↓' : '↑') : '↕'}</span></button>`
      : html`<${Term}>${name}<//>`}
  </th>`;
}

function rowHeight() {
  return Math.round(rem() * (NARROW.matches ? 3.6 : 2.3));
}

/** Which rows are in view, with a few to spare. */
function range(box, total, tall, room) {
  const height = box?.clientHeight || 700;
  const scrolled = (box?.scrollTop ?? 0) * stretch(total, tall, room, height);
  const first = Math.max(0, Math.floor(scrolled / tall) - SPARE_ROWS);
  return { first: Math.min(first, total), last: Math.min(total, Math.ceil((scrolled + height) / tall) + SPARE_ROWS) };
}

/** How many pixels of rows one pixel of scrolling is. */
function stretch(total, tall, room, height) {
  const real = total * tall;
  return real > room && room > height ? (real - height) / (room - height) : 1;
}

/** How far below the table's top its first row stands. */
function offset(first, total, tall, room, box) {
  if (total * tall <= room || !box) return Math.min(first * tall, room);
  const within = box.scrollTop * stretch(total, tall, room, box.clientHeight) - first * tall;
  return Math.max(0, box.scrollTop - within);
}

function reveal(box, index, tall, total, room) {
  const per = stretch(total, tall, room, box.clientHeight);
  const head = box.querySelector('thead').offsetHeight;
  const top = (index * tall) / per;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + tall + head > box.scrollTop + box.clientHeight) box.scrollTop = top + tall + head - box.clientHeight;
}
