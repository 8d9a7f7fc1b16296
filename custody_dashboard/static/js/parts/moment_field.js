/** A field for a local day and time, as the page writes them: the browser's own has another order in each language. */
import { parsedDayTime } from '#/format.js';
import { html } from '#/ui.js';

const PATTERN = '\\s*\\d{4}-\\d\\d-\\d\\d([ T]\\d\\d:\\d\\d(:\\d\\d)?)?\\s*';

/** @param {{label: string, value: string, onText: (text: string) => void, empty?: string}} props `empty`: what an empty one means */
export const MomentField = ({ label, value, onText, empty }) => {
  const check = event => {
    const isMissing = parsedDayTime(event.target.value) === null && !(empty && !event.target.value.trim());
    event.target.setCustomValidity(isMissing ? 'Write it as 2026-11-29 03:12:44' : '');
    onText(event.target.value);
  };
  return html`<label>${label} <input type="text" class="moment-field num" inputmode="numeric" autocomplete="off" spellcheck=${false}
    required=${!empty} pattern=${PATTERN} placeholder=${empty ?? '2026-11-29 03:12:44'} value=${value} onInput=${check} /></label>`;
};
