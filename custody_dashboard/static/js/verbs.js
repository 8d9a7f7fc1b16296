/** What may be done, in words: each verb asks first, and says what follows. */

/**
 * @typedef {object} Verb
 * @property {string} label the button
 * @property {string} asks the question before it
 * @property {string} follows what it does
 * @property {boolean} [grave] it ends work, or takes it from its holder
 * @property {string[]} [fields] what it needs besides a reason: `answer`, `to`, `deadline_s`
 * @property {boolean} [silent] it takes no reason
 */

/** @type {Record<string, Verb>} */
export const VERBS = {
  cancel: { label: 'Cancel', asks: 'Cancel this task?', follows: 'The task ends as cancelled; its holder is told at its next report.', grave: true },
  requeue: { label: 'Requeue', asks: 'Return this task to the queue?', follows: 'The next agent that fits may claim it.' },
  revoke: { label: 'Revoke', asks: 'Take this task from its holder?', follows: 'The lease ends now and the task goes back to the queue.', grave: true },
  unblock: { label: 'Unblock', asks: 'Return this blocked task to the queue?', follows: 'The next holder reads the question and your answer.', fields: ['answer'] },
  retry: { label: 'Retry', asks: 'Submit this task again?', follows: 'A new task with the same definition is queued.' },
  steal: { label: 'Move…', asks: 'Move work to another agent?', follows: 'Only tasks that have not started are moved.', fields: ['to'] },
  drain: { label: 'Drain', asks: 'Drain it?', follows: 'It takes nothing new, and is asked to hand over what it holds.' },
  pause: { label: 'Pause', asks: 'Stop new work?', follows: 'It takes nothing new until it is resumed.' },
  resume: { label: 'Resume', asks: 'Take new work again?', follows: 'It takes new work from now on.' },
};

const HELD = ['assigned', 'in_progress', 'stuck'];
const ENDED = ['completed', 'failed', 'cancelled'];

/** The verbs that a task's status allows. @param {string} status */
export function verbsOfTask(status) {
  return [
    ...(status === 'blocked' ? ['unblock'] : []),
    ...(['quarantined', 'stuck'].includes(status) ? ['requeue'] : []),
    ...(HELD.includes(status) ? ['revoke'] : []),
    ...(['failed', 'cancelled'].includes(status) ? ['retry'] : []),
    ...(status && !ENDED.includes(status) ? ['cancel'] : []),
  ];
}

/** The verbs that an agent's intake allows. @param {string} intake */
export const verbsOfAgent = intake => (intake === 'open' ? ['pause', 'drain', 'steal'] : ['resume', 'steal']);
