/** Who is looking, and what they may do. */
import { signal } from '@preact/signals-core';
import { get, post } from '#/api.js';

/** The answer of `/api/session`; null until it is known. */
export const session = signal(/** @type {any} */ (null));
/** Whether the server wants a token first. */
export const locked = signal(false);
/** Why the session could not be read, in words. */
export const refusal = signal('');

/** Ask who is looking. The answer changes with the server's start: its CSRF token does. */
export async function readSession() {
  try {
    session.value = await get('/api/session');
    locked.value = false;
    // A stream that is refused cannot say why.
    refusal.value = session.value.why_no_stream ?? '';
  } catch (error) {
    if (error.status === 401) locked.value = true;
    else refusal.value = error.message;
  }
}

/** Show a token to the server. Raises ApiError. */
export async function logIn(token) {
  await post('/api/login', { token });
  await readSession();
}

/** End the session. */
export async function logOut() {
  await post('/api/logout', {}, session.peek()?.csrf);
  await readSession();
}
