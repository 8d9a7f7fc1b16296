"""Commands and queries over a link: a command is sent until its outcome is known, under one `command_id`."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import re
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from custody_client.clock import steady_s
from custody_client.errors import TRY_AGAIN, ContractError, NoAnswerError, NoBrokerError, TooLargeError, refusal
from custody_client.limits import MAX_REQUEST_BYTES
from custody_client.link import SAY_AGAIN_S, Link
from custody_client.positions import Positions
from custody_client.tracing import trace_headers
from custody_client.wire import Reply, decoded

_log = logging.getLogger("custody_client")
T = TypeVar("T")

ANSWER_S = 3.0
"""How long an answer is waited for before the command is sent again: a repeat joins the first, and costs little."""
LONGEST_ANSWER_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0
_TAIL = re.compile(r"[A-Za-z0-9_.-]+")
SAY_AFTER_S = 5.0
"""An outage that lasts longer is said in the log."""


class Answer(NamedTuple):
    """The reply to a command or a query that was carried out."""

    result: msgspec.Raw
    position: int
    sent_at: float
    """When the request was sent first, by `steady_s`."""
    repeats: int
    """How often it was sent again."""

    def read(self, kind: type[T]) -> T:
        """Return the result; raises ContractError if it does not follow the contract."""
        try:
            return decoded(self.result, kind)
        except msgspec.MsgspecError as error:
            raise ContractError(f"the result does not follow the contract: {error}") from None


class Calls:
    """Asks the service of one pool."""

    def __init__(self, link: Link, pool: str, *, actor: str | None = None) -> None:
        """`actor`: who speaks, in commands of operators and services."""
        self.link = link
        self.pool = pool
        self._actor = actor
        self._id = secrets.token_hex(12)
        self._numbers = itertools.count(1)
        self._positions = Positions()
        self._silent_until = 0.0
        """Until when nothing is said of an outage, by `steady_s`: a hundred callers wait for the same service."""

    async def command(
        self,
        tail: str,
        body: Mapping[str, Any],
        *,
        wait_s: float = 0.0,
        limit_s: float | None = None,
        command_id: str | None = None,
    ) -> Answer:
        """Send a command until its outcome is known.

        `tail`: the subject after the pool, such as `ops.submit`. `wait_s`: for how long the service may wait with its
        answer. `limit_s`: when to give up; None: never. `command_id`: one of the caller's own, under which it may
        ask again after this process has ended.

        Raises:
            Refused: it was not carried out; of the class of its code.
            NoAnswerError: no outcome was known within `limit_s`.
            TooLargeError: it takes more than 256 KiB.
            ValueError: `tail` is no subject.
        """
        data = msgspec.json.encode({**body, "command_id": command_id or self.new_id()})
        return await self._ask(tail, data, wait_s, limit_s)

    def new_id(self) -> str:
        """Return a `command_id` that was never used."""
        return f"{self._id}-{next(self._numbers)}"

    async def query(self, view: str, body: Mapping[str, Any], *, limit_s: float | None = None) -> Answer:
        """Ask a question until it is answered, by an answer that is not older than one that came before.

        Raises:
            Refused: there is no answer to it.
            NoAnswerError: there was none within `limit_s`.
        """
        data = msgspec.json.encode(body)
        while True:
            answer = await self._ask(f"query.{view}", data, 0.0, limit_s)
            if self._positions.is_new(answer.position):
                return answer
            _log.info("an answer at position %d is older than one before: asking again", answer.position)
            await asyncio.sleep(FIRST_PAUSE_S)

    async def _ask(self, tail: str, data: bytes, wait_s: float, limit_s: float | None) -> Answer:
        subject = f"custody.{self.pool}.{tail}"
        _check_sendable(tail, data)
        headers = trace_headers()
        if self._actor is not None:
            headers["Custody-Actor"] = self._actor
        first_at: float | None = None
        began_at, patience_s, pause_s, repeats = steady_s(), ANSWER_S, FIRST_PAUSE_S, 0
        while True:
            left_s = None if limit_s is None else began_at + limit_s - steady_s()
            try:
                await self.link.wait_up(left_s if left_s is None else max(left_s, 0.001))
                first_at = first_at or steady_s()
                each_s = wait_s + patience_s
                message = await self.link.request(
                    subject, data, each_s if left_s is None else max(min(each_s, left_s), 0.001), headers
                )
                reply = decoded(message.data, Reply)
            except (NoAnswerError, NoBrokerError, msgspec.MsgspecError) as error:
                reason: Exception = error
                patience_s = min(2 * patience_s, LONGEST_ANSWER_S)
            else:
                if reply.ok:
                    return Answer(reply.result, reply.position, first_at, repeats)
                if reply.error is None or reply.error.code not in TRY_AGAIN:
                    raise _refused(reply)
                reason = _refused(reply)
                pause_s = max(pause_s, float(reply.error.details.get("retry_after_s") or 0.0))
            if limit_s is not None and steady_s() - began_at + pause_s >= limit_s:
                raise NoAnswerError(f"no outcome of {subject} in {limit_s:g} s: {reason}") from reason
            if first_at is not None:
                self._say(tail, steady_s() - first_at, reason)
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.0))  # noqa: S311 - spreads what comes back at once
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            repeats += first_at is not None

    def _say(self, tail: str, waited_s: float, reason: Exception) -> None:
        """Say what is waited for, once in a while."""
        now = steady_s()
        if waited_s > SAY_AFTER_S and now > self._silent_until:
            self._silent_until = now + SAY_AGAIN_S
            said = "waiting for the service of pool %s: %s has had no outcome for %.0f s, and is repeated (%s)"
            _log.warning(said, self.pool, tail, waited_s, reason)


def _check_sendable(tail: str, data: bytes) -> None:
    """Refuse what would be sent again and again, and could never be taken."""
    if _TAIL.fullmatch(tail) is None:
        raise ValueError(f"{tail!r} is no command and no query")
    if len(data) > MAX_REQUEST_BYTES:
        raise TooLargeError(f"{tail} takes {len(data)} bytes, and at most {MAX_REQUEST_BYTES} are taken")


def _refused(reply: Reply) -> Exception:
    if reply.error is None:
        return NoAnswerError("the reply does not follow the contract: neither ok nor an error")
    return refusal(reply.error.code, reply.error.message, reply.error.details)
