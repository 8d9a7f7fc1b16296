/** What a view says of a document that it waits for, or that could not be read again. */
import { clockTime } from '#/format.js';
import { html } from '#/ui.js';
import { Empty } from '#/parts/small.js';

/** In place of a document that there is none of yet. @param {{failure: {message: string}|null, doing?: string}} props */
export const Awaited = ({ failure, doing = 'Looking…' }) => html`<${Empty}>${failure?.message ?? doing}<//>`;

/** Above a document that is older than it should be; nothing above one that was read. See `useFetched`. */
export const Stale = ({ asOf, failure }) =>
  failure && asOf !== null
    ? html`<p class="stale-note" role="status">As of ${clockTime(asOf)}; it could not be read again: ${failure.message}</p>`
    : null;
