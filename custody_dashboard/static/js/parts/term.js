/** Terms that a stranger does not know, each with what it means as its title. */
import { html } from '#/ui.js';

const MEANINGS = {
  position: 'How many events the log has: each change of the pool is one, with its number',
  'false recoveries': 'Leases that were taken from a silent holder that came back later: it was only slow',
  'queue empty': 'When no task will be queued any more, if it goes on to shrink as it did lately',
  expiries: 'Leases that ended because their holder was not heard in time',
  throughput: 'Tasks completed in a minute, of late',
  held: 'Tasks that an agent has a lease on now',
  intake: 'Whether the pool gives out work: open, paused, or draining (agents are asked to hand over)',
  token: 'The number of the lease, higher with each: what has an older one is refused',
  grace: 'How long after its end a lease can still be renewed',
  session: 'Which start of the agent’s program this is',
  'lease left': 'Until when the holder has to be heard; each sign of life renews it',
  'hand-off': 'What the former holder left for the next one',
};

/** A word, with its meaning where it has one. */
export const Term = ({ children, of }) => {
  const meaning = MEANINGS[String(of ?? children).toLowerCase()];
  return meaning ? html`<abbr title=${meaning}>${children}</abbr>` : html`${children}`;
};
