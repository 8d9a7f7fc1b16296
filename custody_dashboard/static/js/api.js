/** Requests to the dashboard's own server. */

/** The server refused, or did not answer. `status` 0: no answer. */
export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Whether asking again may help: no answer, or a server that cannot answer now. A refusal stays one. */
export const mayPass = ({ status }) => !(status >= 400 && status < 500);

const PATIENCE_MS = 20_000;

/**
 * Return the JSON document that an address answers with. Raises ApiError.
 * @param {string} path @param {RequestInit} [options]
 */
async function fetched(path, options = {}) {
  let response;
  try {
    const limit = AbortSignal.timeout(PATIENCE_MS);
    const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
    response = await fetch(path, { credentials: 'same-origin', ...options, signal });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, 'no_answer', 'The dashboard does not answer.');
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const { code = `http_${response.status}`, message = `The dashboard answered ${response.status}.` } = body?.error ?? {};
  throw new ApiError(response.status, code, message);
}

/** Return a query string of what is neither absent nor empty, with its question mark. */
export function queryOf(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : '';
}

/** GET a document. @param {string} path @param {object} [values] query @param {AbortSignal} [signal] */
export const get = (path, values = {}, signal) => fetched(path + queryOf(values), { signal });

/** POST a JSON document. @param {string} path @param {object} body @param {string} [csrf] */
export const post = (path, body, csrf) =>
  fetched(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...(csrf ? { 'X-CSRF-Token': csrf } : {}) },
    body: JSON.stringify(body),
  });

/** A new id for a command: a repeat with the same id is done once. */
export function commandId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `dashboard-${Array.from(bytes, each => each.toString(16).padStart(2, '0')).join('')}`;
}
