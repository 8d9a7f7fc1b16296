/** Dark, light, or as the system says; kept in the browser. */
import { signal } from '@preact/signals-core';

const KEY = 'custody-theme';
const ORDER = ['auto', 'dark', 'light'];

export const theme = signal(stored());
/** Counts the changes of colours, by the switch or by the system: what is painted on a canvas is painted again. */
export const repaint = signal(0);

function stored() {
  try {
    const found = localStorage.getItem(KEY);
    return ORDER.includes(found) ? found : 'auto';
  } catch {
    return 'auto';
  }
}

/** Show a theme, and keep it. */
export function setTheme(name) {
  theme.value = name;
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // A browser that keeps nothing shows it all the same.
  }
  repaint.value += 1;
}

/** The next theme of the three. */
export const nextTheme = () => setTheme(ORDER[(ORDER.indexOf(theme.peek()) + 1) % ORDER.length]);

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (repaint.value += 1));
document.documentElement.dataset.theme = theme.peek();

/** Return the colours of the style sheet by name, as a canvas wants them. */
export function colours(names) {
  const probe = document.createElement('i');
  document.body.append(probe);
  const found = {};
  for (const name of names) {
    probe.style.setProperty('color', `var(--${name})`);
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}
