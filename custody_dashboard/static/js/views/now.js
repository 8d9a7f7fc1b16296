/** Now: what needs you, the pool in numbers, who holds what, what happened. */
import { shown } from '#/moments.js';
import { html, useSignal } from '#/ui.js';
import { Recent } from '#/parts/events.js';
import { Lanes } from '#/parts/lanes.js';
import { Needs } from '#/parts/needs.js';
import { Strip } from '#/parts/strip.js';

export function Now() {
  const pool = useSignal(shown);
  const recent = useSignal(pool.recent);
  return html`<div class="now">
    <${Strip} />
    <${Needs} />
    <${Lanes} />
    <${Recent} lines=${recent} />
  </div>`;
}
