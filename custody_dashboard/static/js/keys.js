/** Keys that act everywhere. They can be switched off, since speech input may type them by accident. */
import { signal } from '@preact/signals-core';
import { moment, showMoment } from '#/moments.js';
import { go } from '#/router.js';
import { nextTheme } from '#/theme.js';

const KEPT = 'custody-keys';

export const helpShown = signal(false);
export const keysOn = signal(kept());

/** The views by their keys, in the order of the navigation. */
export const VIEWS = [
  ['1', 'now', 'Now'],
  ['2', 'agents', 'Agents'],
  ['3', 'tasks', 'Tasks'],
  ['4', 'steals', 'Steals'],
  ['5', 'statistics', 'Statistics'],
  ['6', 'past', 'Past'],
  ['7', 'morning', 'Morning'],
];

/** What the sheet says of the other keys. */
export const KEYS = [
  ['/', 'Search tasks'],
  ['↑ ↓', 'Move between rows or lanes'],
  ['← →', 'Move along a lane, or the time slider'],
  ['Enter', 'Open'],
  ['.', 'Back to the present'],
  ['t', 'Theme: as the system, dark, light'],
  ['?', 'This sheet'],
  ['Esc', 'Close'],
];

function kept() {
  try {
    return localStorage.getItem(KEPT) !== 'off';
  } catch {
    return true;
  }
}

/** Switch the keys on or off, and keep it. */
export function setKeys(on) {
  keysOn.value = on;
  try {
    localStorage.setItem(KEPT, on ? 'on' : 'off');
  } catch {
    // Not kept, then.
  }
}

const typing = target => target.closest?.('input, textarea, select, [contenteditable]') !== null;

function pressed(event) {
  if (!keysOn.peek() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target) || document.querySelector('dialog[open]')) return;
  const view = VIEWS.find(([key]) => key === event.key);
  if (view) go(view[1]);
  else if (event.key === '?') helpShown.value = true;
  else if (event.key === 't') nextTheme();
  else if (event.key === '.' && moment.peek() !== null) showMoment(null);
  else if (event.key === '/') search();
  else return;
  event.preventDefault();
}

function search() {
  const box = document.getElementById('search');
  if (box) box.focus();
  else {
    go('tasks');
    setTimeout(() => document.getElementById('search')?.focus(), 50);
  }
}

addEventListener('keydown', pressed);
