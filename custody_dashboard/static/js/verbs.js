/** What may be done, in words: each verb asks first, and says what follows. */

/**
 * @typedef {object} Verb
 * @property {string} label the button
 * @property {string} [labelAsked] the button, where there is a question to answer
 * @property {string} asks the question before it
 * @property {string} [asksAsked] the same, where there is a question to answer
 * @property {string} follows what it does
 * @property {boolean} [grave] it ends work, or takes it from its holder
 * @property {string[]} [fields] what it needs besides a reason: `answer`, `to`, `deadline_s`
 * @property {boolean} [silent] it takes no reason
 */

/** @type {Record<string, Verb>} */
export const VERBS = {
  cancel: { label: 'Cancel task', asks: 'Cancel this task?', follows: 'The task ends as cancelled; its holder is told at its next report.', grave: true },
  requeue: { label: 'Requeue', asks: 'Return this task to the queue?', follows: 'The next agent that fits may claim it.' },
  revoke: { label: 'Revoke', asks: 'Take this task from its holder?', follows: 'The lease ends now and the task goes back to the queue.', grave: true },
  unblock: { label: 'Unblock', labelAsked: 'Answer', asks: 'Return this blocked task to the queue?', asksAsked: 'What do you answer?', follows: 'The task goes back to the queue; its next holder reads the question and your answer.', fields: ['answer'] },
  retry: { label: 'Retry', asks: 'Submit this task again?', follows: 'A new task with the same definition is queued.' },
  steal: { label: 'Move…', asks: 'Move work to another agent?', follows: 'Only tasks that have not started are moved.', fields: ['to'] },
  drain: { label: 'Drain', asks: 'Drain it?', follows: 'It takes nothing new, and is asked to hand over what it holds.' },
  pause: { label: 'Pause', asks: 'Stop new work?', follows: 'It takes nothing new until it is resumed.' },
  resume: { label: 'Resume', asks: 'Take new work again?', follows: 'It takes new work from now on.' },
};

/**
 * The verbs that the service would not refuse for an agent, by its row; as `agent_actions` of the server. Only what has
 * not begun is stolen, and nothing of a lost agent. (Those for a task come with its document.)
 */
export function verbsOfAgent({ intake, status, held = 0, holds = [] }) {
  const mayHave = holds.length < held || holds.some(each => each.status === 'assigned');
  return [
    intake === 'open' ? 'pause' : 'resume',
    ...(intake === 'draining' ? [] : ['drain']),
    ...(mayHave && status === 'live' ? ['steal'] : []),
  ];
}

/** The verbs for the whole pool, by its intake. @param {string|undefined} intake */
export const verbsOfPool = (intake = 'open') =>
  ({ open: ['pause', 'drain'], paused: ['resume', 'drain'], draining: ['resume', 'pause'] })[intake] ?? ['resume'];
