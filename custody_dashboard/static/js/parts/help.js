/** The sheet of keys, and what the signs mean. */
import { helpShown, KEYS, keysOn, setKeys, VIEWS } from '#/keys.js';
import { html, useSignal } from '#/ui.js';
import { Dialog } from '#/parts/dialog.js';

const SIGNS = [
  ['swatch-live', 'A lease that runs'],
  ['swatch-left', 'What is left of it'],
  ['swatch-grace', 'Its grace: past the end, not yet taken back'],
  ['swatch-ended', 'Ended: completed, released, failed'],
  ['swatch-expired', 'Expired: the holder was silent'],
];

export function Help() {
  const shown = useSignal(helpShown);
  const on = useSignal(keysOn);
  if (!shown) return null;
  return html`<${Dialog} title="Keys and signs" onClose=${() => (helpShown.value = false)}>
    <table class="keys">
      <caption class="unseen">Keys</caption>
      <tbody>
        ${VIEWS.map(([key, , name]) => html`<tr key=${key}><th scope="row"><kbd>${key}</kbd></th><td>${name}</td></tr>`)}
        ${KEYS.map(([key, what]) => html`<tr key=${key}><th scope="row"><kbd>${key}</kbd></th><td>${what}</td></tr>`)}
      </tbody>
    </table>
    <label class="check"><input type="checkbox" checked=${on} onChange=${event => setKeys(event.target.checked)} /> Single keys act</label>
    <h3>Signs in the lanes</h3>
    <ul class="signs">
      ${SIGNS.map(([name, what]) => html`<li key=${name}><span class=${`swatch ${name}`} aria-hidden="true"></span>${what}</li>`)}
      <li><span class="swatch-text" aria-hidden="true">╵</span>A report or beat</li>
      <li><span class="swatch-text" aria-hidden="true">⤵</span>A steal: from the one agent to the other</li>
    </ul>
  <//>`;
}
