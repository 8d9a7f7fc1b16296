/** Now: what needs you, who is silent, what waits and why, the pool in numbers, who holds what, what happened. */
import { shown } from '#/moments.js';
import { html, useSignal } from '#/ui.js';
import { Recent } from '#/parts/events.js';
import { Lanes } from '#/parts/lanes.js';
import { Needs } from '#/parts/needs.js';
import { Silent } from '#/parts/silent.js';
import { Strip } from '#/parts/strip.js';
import { Waiting } from '#/parts/waiting.js';

export function Now() {
  const pool = useSignal(shown);
  const recent = useSignal(pool.recent);
  return html`<div class="now">
    <${Strip} />
    <${Needs} />
    <div class="asides"><${Silent} /><${Waiting} /></div>
    <${Lanes} />
    <${Recent} lines=${recent} />
  </div>`;
}
