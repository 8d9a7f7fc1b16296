/** What was done: the server's words after each act, until they are put away. */
import { signal } from '@preact/signals-core';
import { announce } from '#/announce.js';
import { html, useSignal } from '#/ui.js';

const MOST = 4;

const said = signal(/** @type {{id: number, text: string}[]} */ ([]));
let last = 0;

/** Say what was done. */
export function tell(text) {
  last += 1;
  said.value = [...said.peek(), { id: last, text }].slice(-MOST);
  announce(text);
}

const away = id => (said.value = said.peek().filter(each => each.id !== id));

export function Told() {
  const texts = useSignal(said);
  if (!texts.length) return null;
  return html`<aside class="told" aria-label="What was done">
    ${texts.map(
      ({ id, text }) =>
        html`<p key=${id} dir="auto">${text} <button type="button" class="quiet" onClick=${() => away(id)} aria-label="Put away">✕</button></p>`,
    )}
  </aside>`;
}
