/** Whether what is shown is live: the badge in the header, and the banner when it is not. */
import { second } from '#/clock.js';
import { clockTime, count, dayTime, ms } from '#/format.js';
import { live } from '#/pool.js';
import { moment } from '#/moments.js';
import { session } from '#/session.js';
import { beat, contact, lastWord } from '#/stream.js';
import { classes, html, useSignal } from '#/ui.js';

const BADGES = { live: 'Live', starting: 'Starting', behind: 'Behind', disconnected: 'Not live', silent: 'Not live' };

export function Badge() {
  const state = useSignal(contact);
  const isPast = useSignal(moment) !== null;
  const position = useSignal(live.position);
  return html`<span class=${classes('badge', `badge-${isPast ? 'past' : state}`)} title=${`Position ${position}`}>
    <span class="dot" aria-hidden="true"></span>${isPast ? 'Past' : BADGES[state]}
    ${isPast ? null : html`<${Clock} />`}
  </span>`;
}

/** The moment that is shown: it goes on while the page is live. Hidden from voices, which would read it every second. */
function Clock() {
  const at = useSignal(second);
  return html`<time class="clock num" aria-hidden="true" title=${`The page shows ${dayTime(at)}, by your machine’s time zone.`}>${clockTime(at)}</time>`;
}

export function Banner() {
  const state = useSignal(contact);
  const loaded = useSignal(live.loaded);
  const since = useSignal(lastWord);
  const { behind_events: behind, why } = useSignal(beat);
  const whyNone = useSignal(session)?.why_no_stream;
  if (!loaded || state === 'live') return null;
  const time = since ? clockTime(ms(since)) : '';
  const text = {
    silent: `Not live: ${whyNone || `no word from the dashboard since ${time}`}. What is below is the last known state. It comes back by itself.`,
    disconnected: `Not live: ${why || 'the dashboard has no contact with the pool’s broker'}. What is below is the last known state. It comes back by itself.`,
    behind: `Catching up${behind ? `: ${count(behind, 'event')} behind` : ''}. What is below is not yet the present.`,
    starting: 'The dashboard is reading the log. What is below is not yet the present.',
  }[state];
  return html`<p class=${classes('banner', state === 'behind' || state === 'starting' ? 'banner-behind' : 'banner-dead')} id="not-live">${text}</p>`;
}
