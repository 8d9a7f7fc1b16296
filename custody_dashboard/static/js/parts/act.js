/** Acting: buttons for those who may, and the dialog that asks first. */
import { signal } from '@preact/signals-core';
import { useMemo, useRef, useState } from 'preact/hooks';
import { commandId, post } from '#/api.js';
import { cut } from '#/format.js';
import { past, shown } from '#/moments.js';
import { readSession, session } from '#/session.js';
import { contact } from '#/stream.js';
import { html, useSignal } from '#/ui.js';
import { VERBS } from '#/verbs.js';
import { Dialog } from '#/parts/dialog.js';
import { Question } from '#/parts/small.js';
import { tell } from '#/parts/told.js';

/**
 * @typedef {{verb: string, task_id?: string, agent_id?: string, holder?: string|null, question?: string|null, title?: string}} Act
 */

const asked = signal(/** @type {Act|null} */ (null));

/** Buttons for what may be done; none without the rights, and none in the past. */
export function Actions({ verbs, task_id, agent_id, holder, question, title }) {
  const who = useSignal(session);
  const isPast = useSignal(past) !== null;
  const isLive = useSignal(contact) === 'live';
  const known = verbs.filter(verb => verb in VERBS);
  if (!who?.can_act || isPast || !known.length) return null;
  const subject = task_id ?? agent_id ?? 'the pool';
  return html`<span class="actions">
    ${known.map(
        verb =>
          html`<button
            key=${verb}
            type="button"
            class=${VERBS[verb].grave ? 'act grave' : 'act'}
            disabled=${!isLive}
            aria-label=${`${plainLabel(verb, question)} ${cut(subject, 60)}`}
            onClick=${() => (asked.value = { verb, task_id, agent_id, holder, question, title })}
          >
            ${labelOf(verb, question)}
          </button>`,
    )}
  </span>`;
}

const labelOf = (verb, question) => (question && VERBS[verb].labelAsked) || VERBS[verb].label;
const plainLabel = (verb, question) => labelOf(verb, question).replace('…', '');

export function ActDialog() {
  const act = useSignal(asked);
  return act && html`<${Asking} act=${act} key=${`${act.verb}/${act.task_id}/${act.agent_id}`} />`;
}

const close = () => (asked.value = null);

function Asking({ act }) {
  const verb = VERBS[act.verb];
  const fields = verb.fields ?? [];
  const who = useSignal(session);
  const id = useMemo(commandId, []);
  const form = useRef(null);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState('');
  const submit = async event => {
    event.preventDefault();
    const values = Object.fromEntries([...new FormData(form.current)].filter(([, value]) => value !== ''));
    setBusy(true);
    setRefused('');
    try {
      const reply = await post('/api/act', body(act, values, id), who?.csrf);
      tell(reply.said ?? `${verb.label}: done.`);
      close();
    } catch (error) {
      // The server has begun anew, with another token: the next try has it.
      if (error.code === 'csrf') await readSession();
      setRefused([0, 504].includes(error.status) ? `${error.message} It is not known whether it was done; sending it again does it once.` : error.message);
    }
    setBusy(false);
  };
  return html`<${Dialog} title=${(act.question && verb.asksAsked) || verb.asks} onClose=${close}>
    <form ref=${form} onSubmit=${submit} id="act">
      <p class="subject" dir="auto"><strong>${cut(act.task_id ?? act.agent_id ?? `the pool ${who?.pool ?? ''}`, 200)}</strong>${act.title ? html` <span class="faint">${cut(act.title, 160)}</span>` : null}</p>
      <p>${verb.follows}</p>
      ${act.question ? html`<${Question} text=${act.question} most=${2000} />` : null}
      ${fields.includes('answer') ? html`<label>Answer<textarea name="answer" rows="3" maxlength="4000" data-first required=${Boolean(act.question)}></textarea></label>` : null}
      ${fields.includes('to') ? html`<${Receiver} from=${act.agent_id ?? act.holder} one=${Boolean(act.task_id)} />` : null}
      <label>Reason, for the record<input name="reason" maxlength="1000" autocomplete="off" required data-first=${fields.length ? undefined : true} /></label>
      <p class="faint">It goes on record as done by <strong dir="auto">${who?.person ?? 'you'}</strong>.</p>
      <p class="refused" role="alert">${refused}</p>
      <footer class="dialog-foot">
        <button type="button" onClick=${close}>Leave it</button>
        <button type="submit" class=${verb.grave ? 'primary grave' : 'primary'} disabled=${busy}>${plainLabel(act.verb, act.question)}</button>
      </footer>
    </form>
  <//>`;
}

function Receiver({ from, one }) {
  const agents = useSignal(useSignal(shown).agents);
  const others = [...agents.values()].map(each => each.agent_id).filter(each => each !== from).sort();
  return html`
    <label>To agent<input name="to" list="receivers" required autocomplete="off" data-first /></label>
    <datalist id="receivers">${others.slice(0, 500).map(each => html`<option key=${each} value=${each}></option>`)}</datalist>
    ${one ? null : html`<label>How many tasks<input name="count" type="number" min="1" max="100" value="1" required /></label>`}`;
}

/** The request's body of an act and what was filled in. */
function body({ verb, task_id, agent_id, holder }, values, id) {
  if (verb === 'steal' && task_id) return { verb, from: holder, task_ids: [task_id], ...values, command_id: id };
  if (verb === 'steal') return { verb, from: agent_id, ...values, count: Number(values.count), command_id: id };
  return { verb, ...(task_id ? { task_id } : {}), ...(agent_id ? { agent_id } : {}), ...values, command_id: id };
}
