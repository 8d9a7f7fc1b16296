/** A modal dialog: the browser keeps the focus in it. It begins at `data-first`, and goes back in the end. */
import { useEffect, useRef } from 'preact/hooks';
import { html } from '#/ui.js';

export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current.showModal();
    element.current.querySelector('[data-first]')?.focus();
    return () => before?.isConnected && before.focus();
  }, []);
  const outside = event => event.target === element.current && onClose();
  return html`<dialog ref=${element} class="dialog" aria-labelledby="dialog-title" onClose=${onClose} onMouseDown=${outside}>
    <div class="dialog-body">
      <header class="dialog-head">
        <h2 id="dialog-title" dir="auto">${title}</h2>
        <button type="button" class="quiet" onClick=${onClose} aria-label="Close">✕</button>
      </header>
      ${children}
    </div>
  </dialog>`;
}
