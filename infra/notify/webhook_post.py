"""Posting a message to one endpoint over HTTP: signed, with TLS verified, without redirects, within a time."""

from __future__ import annotations

import asyncio
import logging
import ssl
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from domain.timestamps import seconds_between
from handlers.notifier.retry_rules import Outcome, Verdict, verdict_of
from infra.host.printable import printable
from infra.notify.message_forms import body_of
from infra.notify.notify_config import NotifyConfigError
from infra.notify.webhook_secrets import signature

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from handlers.notifier.message import Message
    from handlers.ports import Clock
    from infra.notify.notify_config import EndpointConfig, NotifyConfig
    from infra.notify.webhook_secrets import Access

_ANSWER_BYTES = 2_000
"""What is read of an answer's body, for the reason of a failure."""
_ANSWER_CHARS = 100
# It writes each request's address, which may be a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


class WebhookPost:
    """Posts messages to one endpoint; the `Post` of its sender."""

    def __init__(self, config: NotifyConfig, endpoint: EndpointConfig, access: Access, clock: Clock) -> None:
        """Prepare; raises NotifyConfigError if the certificates cannot be read."""
        self._endpoint = endpoint
        self._dashboard_url = config.dashboard_url
        self._access = access
        self._clock = clock
        try:
            tls = ssl.create_default_context(cafile=endpoint.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise NotifyConfigError(f"endpoint {endpoint.name}: ca_file: {error.strerror or error}") from None
        self._client = httpx.AsyncClient(
            verify=tls,
            proxy=config.proxy,
            # Neither proxies nor passwords are taken from the environment or from .netrc.
            trust_env=False,
            follow_redirects=False,
            timeout=endpoint.timeout_s,
            limits=httpx.Limits(max_connections=endpoint.parallel),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    def body(self, message: Message) -> bytes:
        """Return what is posted."""
        limit = self._endpoint.max_body_bytes
        return body_of(message, self._endpoint.form, dashboard_url=self._dashboard_url, max_bytes=limit)

    async def __call__(self, message: Message) -> Outcome:
        """Post a message once; return what came of it."""
        body = self.body(message)
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "custody-notify",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(timestamp),
        }
        if self._access.secrets:
            headers["webhook-signature"] = signature(self._access.secrets, message.message_id, timestamp, body)
        try:
            async with (
                asyncio.timeout(self._endpoint.timeout_s),
                self._client.stream("POST", self._access.url, content=body, headers=headers) as response,
            ):
                return await self._outcome(response)
        except TimeoutError:
            return Outcome(Verdict.FAILED, f"no answer within {self._endpoint.timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Outcome(Verdict.FAILED, self._safe(str(error) or type(error).__name__))

    async def _outcome(self, response: httpx.Response) -> Outcome:
        verdict = verdict_of(response.status_code)
        if verdict is Verdict.DELIVERED:
            return Outcome(verdict)
        said = b""
        async for chunk in response.aiter_raw():
            said += chunk
            if len(said) >= _ANSWER_BYTES:
                break
        answer = " ".join(said[:_ANSWER_BYTES].decode(errors="replace").split())[:_ANSWER_CHARS]
        phrase = f"HTTP {response.status_code} {response.reason_phrase}".strip()
        if response.is_redirect:
            phrase += ", and redirects are not followed"
        reason = f"{phrase}: {answer}" if answer else phrase
        return Outcome(verdict, self._safe(reason), self._retry_after_s(response))

    def _retry_after_s(self, response: httpx.Response) -> float | None:
        """Return for how long the receiver asks to be left alone, given as seconds or as a date."""
        asked = response.headers.get("retry-after", "").strip()
        if asked.isascii() and asked.isdigit():
            return float(asked[:12])
        try:
            return max(seconds_between(self._clock.now(), parsedate_to_datetime(asked)), 0.0)
        except (TypeError, ValueError, OverflowError):
            return None

    def _safe(self, reason: str) -> str:
        """Return a reason as one line in which the receiver repeats no secret."""
        parts = urlsplit(self._access.url)
        for secret in (self._access.url, f"{parts.path}?{parts.query}" if parts.query else parts.path):
            if len(secret) > 1:
                reason = reason.replace(secret, "…")
        return printable(reason)
