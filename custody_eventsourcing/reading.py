"""Reads a stream: its newest message, ranges of positions, all messages on a subject, future messages.

A read returns everything that was acknowledged before it began. The stream's leader says how far to read; what a
lagging replica lacks is read through a consumer.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from handlers.ports import LogUnavailableError, OutcomeUnknownError
from infra.nats import wire_format
from infra.nats.reader import StreamReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from custody_eventsourcing.guarded_api import Link
    from handlers.ports import StoredMessage

DIRECT_MESSAGES = 200
"""Up to this many messages of a range, a direct get is faster than a consumer, which has to be created."""

LIMITED_MESSAGES = 5_000
"""Up to this many, a consumer is told to send no more. Beyond, what it sends besides does not matter."""

_DIRECT_HISTORY = 64
"""The same on one subject. There, a consumer is sent no others, and reads four times as fast once it is created."""

_ANSWER_TIMEOUT_S = 2.0


class StreamView:
    """Reads one stream."""

    def __init__(self, link: Link, stream: str, *, direct: bool = True) -> None:
        """`direct`: whether the user may use direct gets, which are faster; see `infra/broker/users.py`."""
        self.stream = stream
        self._may_direct = direct
        self._exchange, self._api = link

    async def last(self, subject: str = ">") -> StoredMessage | None:
        """Return the newest message on the subject, as the leader has it. Raises LogUnavailableError, ApiError."""
        return await self._api.stored(self.stream, {"last_by_subj": subject})

    async def next(self, subject: str, position: int) -> StoredMessage | None:
        """Return the first message on the subject from a position on, as the leader has it. Raises as `last` does."""
        return await self._api.stored(self.stream, {"seq": position, "next_by_subj": subject})

    async def history(self, subject: str) -> list[StoredMessage]:
        """Return all messages on the subject, in order. Raises LogUnavailableError, ApiError."""
        newest, found = await asyncio.gather(self.last(subject), self._direct(1, subject, limit=_DIRECT_HISTORY))
        if newest is None:
            return []
        reached = found[-1].position if found else 0
        if reached < newest.position:
            reader = StreamReader(self._api, self.stream, after=reached, subject_filter=subject)
            found += [message async for chunk in reader.until(newest.position) for message in chunk]
        return found

    async def read_range(
        self, *, after: int, stop: int | None, expected: int
    ) -> AsyncGenerator[list[StoredMessage], None]:
        """Yield the messages after `after` up to `stop` or the end, in chunks; the caller expects to use `expected`.

        Raises LogUnavailableError, ApiError.
        """
        if stop is not None and stop <= after:
            return
        few = expected <= DIRECT_MESSAGES
        newest, found = await asyncio.gather(self.last(), self._direct(after + 1, limit=expected if few else 0))
        end = newest.position if newest is not None else 0
        if stop is not None:
            end = min(end, stop)
        found = [message for message in found if message.position <= end]
        if found:
            yield found
            after = found[-1].position
        # First as many as are expected to be used, so that no others are sent; the rest is rarely asked for.
        for at_most in (expected, None) if expected <= LIMITED_MESSAGES else (None,):
            if after < end:
                until = end if at_most is None else min(end, after + at_most)
                reader = StreamReader(self._api, self.stream, after=after, at_most=at_most)
                async with aclosing(reader.until(until)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                after = until

    def follow(self, *, after: int) -> AsyncGenerator[StoredMessage, None]:
        """Yield every message after `after`, future ones included, for ever; survives restarts of the broker.

        Raises:
            LogTruncatedError: the stream ends before a position that was already read, or holds another message there.
            LogMissingError: the stream was deleted.
            LogUnavailableError: the connection was closed for good.
        """
        return StreamReader(self._api, self.stream, after=after).follow()

    async def _direct(self, position: int, subject: str | None = None, *, limit: int) -> list[StoredMessage]:
        """Return messages from a position on, as some replica of the stream has them; there may be more."""
        if not self._may_direct or limit <= 0:
            return []
        request: dict[str, Any] = {"seq": position, "batch": limit}
        if subject is not None:
            request["next_by_subj"] = subject
        body = json.dumps(request).encode()
        verb = f"$JS.API.DIRECT.GET.{self.stream}"
        try:
            answers = await self._exchange.many(
                lambda reply: b"PUB %b %b %d\r\n%b\r\n" % (verb.encode(), reply.encode(), len(body), body),
                verb,
                _ANSWER_TIMEOUT_S,
            )
        except OutcomeUnknownError as error:
            raise LogUnavailableError(str(error)) from error
        if answers[-1].status == wire_format.NO_RESPONDERS:
            return []
        try:
            return [wire_format.republished(head, body) for head, body in answers[:-1]]
        except (KeyError, ValueError) as error:
            raise LogUnavailableError(f"what came as the answer to {verb} is none: {error}") from error
