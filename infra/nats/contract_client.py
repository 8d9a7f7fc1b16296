"""A small client of the wire contract over a bare NATS connection: one request, one parsed reply."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from infra.nats.cancellation import heeding
from infra.nats.connection import without_password
from infra.nats.wire_format import ACTOR_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.client import Client

DEFAULT_TIMEOUT_S = 7.0
"""Longer than the service's own `reply_timeout_s`, so that its answer comes before ours."""


class CustodyError(Exception):
    """A request did not get what it asked for."""


class CustodyRefusedError(CustodyError):
    """The service refused the request; nothing was appended, but for a late report kept as evidence."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = dict(details)
        self.reply = dict(reply)
        """The whole reply, as it came."""


class NoServiceError(CustodyError):
    """Nobody took the request: certainly nothing was done."""


class NoReplyError(CustodyError):
    """No usable reply came: whether something was done is unknown; the same `command_id` again finds out."""


class CustodyClient:
    """Asks the service of one pool."""

    def __init__(self, nc: Client, pool: str) -> None:
        self._nc = nc
        self._pool = pool

    async def request(
        self,
        subject_tail: str,
        body: Mapping[str, Any] | None = None,
        *,
        actor: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 - it is the library's own, and no cancellation
    ) -> dict[str, Any]:
        """Send a request to `custody.<pool>.<subject_tail>` and return the reply, parsed.

        `subject_tail` is such as `ops.submit`, `agent.a1.claim` or `query.task`. `actor` names an operator or a
        service (header `Custody-Actor`). `timeout` is in seconds; a claim that waits needs its `wait_s` on top.

        Raises:
            CustodyRefusedError: the service said no.
            NoServiceError: nobody listens.
            NoReplyError: no reply in time, or one that is not the contract's.
        """
        subject = f"custody.{self._pool}.{subject_tail}"
        headers = {ACTOR_HEADER: actor} if actor else None
        try:
            asking = self._nc.request(subject, json.dumps(body or {}).encode(), timeout, headers=headers)
            message = await heeding(asking)
        except NoRespondersError:
            raise NoServiceError(
                f"no custody service answers for pool {self._pool} at {self._url}; start one with `custody up`"
            ) from None
        except (TimeoutError, NatsError, OSError) as error:
            reason = f"within {timeout:g} s" if isinstance(error, TimeoutError) else f"({error})"
            raise NoReplyError(f"no reply to {subject} from {self._url} {reason}") from error
        return self._parsed(subject, message.data)

    @property
    def _url(self) -> str:
        url = self._nc.connected_url
        return "the broker" if url is None else without_password(url.geturl())

    def _parsed(self, subject: str, data: bytes) -> dict[str, Any]:
        try:
            reply = json.loads(data)
            if reply["ok"] is True:
                parsed: dict[str, Any] = reply
                return parsed
            error = reply["error"]
            raise CustodyRefusedError(error["code"], error["message"], error.get("details") or {}, reply)
        except (ValueError, KeyError, TypeError):
            raise NoReplyError(f"the reply to {subject} is none of custody's: {data[:200]!r}") from None
