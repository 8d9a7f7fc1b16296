/** The form that asks for a token. */
import { useState } from 'preact/hooks';
import { logIn } from '#/session.js';
import { html } from '#/ui.js';

export function Login() {
  const [token, setToken] = useState('');
  const [refused, setRefused] = useState('');
  const submit = async event => {
    event.preventDefault();
    try {
      await logIn(token);
    } catch (error) {
      setRefused(error.status === 401 || error.status === 403 ? 'This token is not known here.' : error.message);
    }
  };
  return html`<main class="login" id="main" tabindex="-1">
    <h1>Custody</h1>
    <form onSubmit=${submit}>
      <input type="text" autocomplete="username" value="custody" hidden readonly />
      <label for="token">Token</label>
      <input id="token" type="password" autocomplete="current-password" required value=${token} onInput=${event => setToken(event.target.value)} />
      <button type="submit" class="primary">Look at the pool</button>
      <p class="refused" role="alert">${refused}</p>
    </form>
  </main>`;
}
