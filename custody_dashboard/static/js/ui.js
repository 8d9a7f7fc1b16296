/** How components are written: htm's templates make preact's elements, and hooks read signals. */
import { h } from 'preact';
import { useEffect, useReducer } from 'preact/hooks';
import htm from 'htm';
import { effect } from '@preact/signals-core';

/** A template as elements: `html`<p>${text}</p>`. Texts stay texts; nothing is parsed as HTML at run time. */
export const html = htm.bind(h);

/**
 * Return a signal's value, and render the component again when it changes.
 * @template T
 * @param {import('@preact/signals-core').ReadonlySignal<T>} signal
 * @returns {T}
 */
export function useSignal(signal) {
  const [, again] = useReducer(count => count + 1, 0);
  const shown = signal.peek();
  useEffect(() => {
    let last = shown;
    return effect(() => {
      if (signal.value !== last) {
        last = signal.value;
        again();
      }
    });
  }, [signal]);
  return shown;
}

/** Return class names; those whose condition is false are left out. */
export const classes = (...names) => names.filter(Boolean).join(' ');

/** Give elements styles by the object model, which a strict policy allows: a ref for `ref=${styled({...})}`. */
export const styled = styles => element => {
  for (const [name, value] of Object.entries(element ? styles : {})) element.style.setProperty(name, value);
};
