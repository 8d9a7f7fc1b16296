/** Addresses of views: `#/task/T1?at=120`. The part after `#` never reaches the server. */
import { signal } from '@preact/signals-core';
import { queryOf } from '#/api.js';

/**
 * @typedef {{view: string, id: string|null, query: Record<string, string>}} Route
 */

/** @returns {Route} */
function read() {
  const [path, search = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const [view, ...rest] = path.split('/');
  const query = Object.fromEntries(new URLSearchParams(search));
  return { view: view || 'now', id: rest.length ? decoded(rest.join('/')) : null, query };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What is shown. */
export const route = signal(read());

addEventListener('hashchange', () => {
  // The skip link's target is no view.
  if (location.hash !== '#main') route.value = read();
});

/** Return the address of a view; the moment of the past that is shown goes along. */
export function href(view, id = null, query = {}) {
  const { at } = route.peek().query;
  const place = id === null ? view : `${view}/${encodeURIComponent(id)}`;
  return `#/${place}${queryOf({ ...query, ...(at !== undefined && query.at === undefined ? { at } : {}) })}`;
}

/** Go to a view. */
export function go(view, id = null, query = {}) {
  location.hash = href(view, id, query);
}

/** Change the query of the view that is shown, without a step in the browser's history; null takes a value away. */
export function requery(changes) {
  const { view, id, query } = route.peek();
  const merged = { ...query, ...changes };
  const place = id === null ? view : `${view}/${encodeURIComponent(id)}`;
  history.replaceState(null, '', `#/${place}${queryOf(merged)}`);
  route.value = read();
}
