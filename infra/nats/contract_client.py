"""A minimal client of the wire contract over a NATS connection: one request, one parsed reply."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from domain.untrusted_json import parse_json_object
from handlers.ports import ACTOR_HEADER
from infra.nats.cancellation import await_cancellable
from infra.nats.connection import without_password
from infra.nats.jetstream_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.client import Client

DEFAULT_TIMEOUT_S = 7.0
"""Longer than the service's own `reply_timeout_s`, so that its timeout reply arrives first."""


class CustodyError(Exception):
    """A request did not succeed."""


class CustodyRefusedError(CustodyError):
    """The service refused the request; nothing was appended, except a late report that is kept as evidence."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = dict(details)
        self.reply = dict(reply)
        """The whole reply."""


class NoServiceError(CustodyError):
    """No service takes the request; nothing was done."""


class NoReplyError(CustodyError):
    """No usable reply arrived; the outcome is unknown. Repeat the request with the same `command_id` to find out."""


class CustodyClient:
    """Sends requests to the service of one pool."""

    def __init__(self, nc: Client, pool: str) -> None:
        self._nc = nc
        self._pool = pool

    async def request(
        self,
        subject_tail: str,
        body: Mapping[str, Any] | None = None,
        *,
        actor: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 - passed to the library
    ) -> dict[str, Any]:
        """Send a request to `custody.<pool>.<subject_tail>` and return the reply, parsed.

        Examples of `subject_tail` are `ops.submit`, `agent.a1.claim` and `query.task`. `actor` names an operator or a
        service (header `Custody-Actor`). `timeout` is in seconds; a claim that waits needs its `wait_s` on top.

        Raises:
            CustodyRefusedError: the service refused the request.
            NoServiceError: no service takes the request.
            NoReplyError: no reply in time, or one that does not follow the contract.
        """
        subject = f"custody.{self._pool}.{subject_tail}"
        headers = {ACTOR_HEADER: actor} if actor else None
        try:
            request = self._nc.request(subject, json.dumps(body or {}).encode(), timeout, headers=headers)
            message = await await_cancellable(request)
        except NoRespondersError:
            raise NoServiceError(
                f"no custody service answers for pool {self._pool} at {self._url}; start one with `custody up`"
            ) from None
        except (TimeoutError, NatsError, OSError) as error:
            reason = f"within {timeout:g} s" if isinstance(error, TimeoutError) else f"({reason_of(error)})"
            raise NoReplyError(f"no reply to {subject} from {self._url} {reason}") from error
        return self._parsed(subject, message.data)

    @property
    def _url(self) -> str:
        url = self._nc.connected_url
        return "the broker" if url is None else without_password(url.geturl())

    def _parsed(self, subject: str, data: bytes) -> dict[str, Any]:
        try:
            reply = parse_json_object(data)
            if reply["ok"] is True:
                parsed: dict[str, Any] = reply
                return parsed
            error = reply["error"]
            raise CustodyRefusedError(error["code"], error["message"], error.get("details") or {}, reply)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NoReplyError(f"the reply to {subject} does not follow the contract: {data[:200]!r}") from None
