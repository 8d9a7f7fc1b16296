/** Starts the page. */
import { render } from 'preact';
import { effect } from '@preact/signals-core';
import { announce } from '#/announce.js';
import { live } from '#/pool.js';
import { readSession } from '#/session.js';
import { contact, listen } from '#/stream.js';
import { Frame } from '#/parts/frame.js';
import { html } from '#/ui.js';

const place = document.getElementById('app');
place.replaceChildren();
render(html`<${Frame} />`, place);
document.getElementById('skip').addEventListener('click', event => {
  event.preventDefault();
  document.getElementById('main')?.focus();
});
readSession();
listen(readSession);

// The server may have started anew, with another CSRF token, whenever contact comes back.
let before = contact.peek();
effect(() => {
  const now = contact.value;
  if (now === before) return;
  if (now === 'live') {
    // Also after `starting`: so says a server that has begun anew and reads its log.
    readSession();
    if (before !== 'starting') announce('Live again.');
  } else if (now === 'silent' || now === 'disconnected') {
    announce('Not live. What is shown is the last known state.');
  }
  before = now;
});

let known = null;
effect(() => {
  const { items } = live.needs.value;
  if (!live.loaded.value) return;
  const added = known && items.filter(each => !known.has(each.key));
  known = new Set(items.map(each => each.key));
  if (added?.length === 1) announce(`New: ${added[0].title}`);
  else if (added?.length) announce(`${added.length} new things need you.`);
});
