/** What a screen reader is told: rarely, and only what matters. The texts are gathered for a while. */
import { signal } from '@preact/signals-core';

const PAUSE_MS = 4000;

export const spoken = signal('');

let waiting = [];
let timer = 0;
let lastAt = -PAUSE_MS;

/** Say something as soon as the last text has had its time. */
export function announce(text) {
  if (!waiting.includes(text)) waiting.push(text);
  if (!timer) timer = setTimeout(say, Math.max(0, lastAt + PAUSE_MS - performance.now()));
}

function say() {
  timer = 0;
  lastAt = performance.now();
  spoken.value = waiting.slice(-3).join(' ');
  waiting = [];
}
