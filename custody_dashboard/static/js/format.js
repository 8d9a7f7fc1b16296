/** Times, lengths and numbers as short texts. */

const UNITS = [
  [86_400, 'd', 3600, 'h'],
  [3600, 'h', 60, 'min'],
  [60, 'min', 1, 's'],
];

export const NOTHING = '–';

/** A length of time in at most two units: `42 s`, `3 min 05 s`, `2 h 10 min`. @param {number|null|undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  const whole = Math.abs(seconds);
  const sign = seconds < -0.5 ? '−' : '';
  if (whole < 10 && whole % 1 >= 0.05) return `${sign}${whole.toFixed(1)} s`;
  if (whole < 60) return `${sign}${Math.round(whole)} s`;
  for (const [large, name, small, smallName] of UNITS) {
    if (whole < large) continue;
    const first = Math.floor(whole / large);
    const second = Math.floor((whole % large) / small);
    const rest = second ? ` ${String(second).padStart(2, '0')} ${smallName}` : '';
    return `${sign}${first} ${name}${large === 86_400 && first > 9 ? '' : rest}`;
  }
  return NOTHING;
}

/** A length of time in one unit, for narrow columns. */
export function shortDuration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  const whole = Math.abs(seconds);
  const sign = seconds < -0.5 ? '−' : '';
  if (whole < 60) return `${sign}${Math.round(whole)} s`;
  const [large, name] = UNITS.find(([least]) => whole >= least);
  return `${sign}${Math.floor(whole / large)} ${name}`;
}

/** ms since 1970 of an RFC 3339 text, or null. */
export function ms(text) {
  const at = text ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? null : at;
}

/** Relative: `42 s ago`, `in 3 min`. @param {string} text RFC 3339 @param {number} now ms */
export function relative(text, now) {
  const at = ms(text);
  if (at === null) return NOTHING;
  const seconds = (now - at) / 1000;
  if (Math.abs(seconds) < 1) return 'now';
  return seconds > 0 ? `${shortDuration(seconds)} ago` : `in ${shortDuration(-seconds)}`;
}

const two = number => String(number).padStart(2, '0');

/** The local time of day: `03:12:44`. @param {number|null} at ms */
export function clockTime(at) {
  if (at === null) return NOTHING;
  const date = new Date(at);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The local day and time: `2026-11-29 03:12:44`. @param {number|null} at ms */
export function dayTime(at) {
  if (at === null) return NOTHING;
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clockTime(at)}`;
}

/** ms since 1970 of a local day and time as `dayTime` writes it, also with less of the time; null: it is none. */
export function parsedDayTime(text) {
  const [, day, time = '00:00'] = /^\s*(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d)?))?\s*$/.exec(text) ?? [];
  return day ? ms(`${day}T${time}`) : null;
}

/** Both forms, for titles. @param {string} text RFC 3339 */
export const absolute = text => (ms(text) === null ? '' : `${dayTime(ms(text))} (${text})`);

// Made once: a formatter costs a hundred times what it formats.
const numbers = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 });

/** A number with separators. */
export const number = value =>
  value === null || value === undefined || Number.isNaN(value) ? NOTHING : numbers.format(value);

/** A count with its noun: `1 task`, `3 tasks`. */
export const count = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;

/** A fraction of one as per cent. */
export const percent = value => (value === null || value === undefined ? NOTHING : `${Math.round(value * 100)} %`);

/** Signs that turn, hide or control what stands beside them. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;
const code = sign => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Cut a text for a place of limited width; titles show the whole one. Signs that nobody sees are shown as codes. */
export function cut(text, most = 120) {
  const whole = String(text ?? '');
  const parts = Array.from(whole.slice(0, most * 2 + 2));
  const shown = parts.length > most ? `${parts.slice(0, most).join('')}…` : whole;
  return shown.replace(UNSEEN, code);
}

/** The words for a status: `in_progress` is `in progress`. */
export const words = text => String(text ?? NOTHING).replaceAll('_', ' ');
