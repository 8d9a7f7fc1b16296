"""Stores messages atomically and exactly once, under conditions on their subjects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eventsourcing.persistence import NotSupportedError
from nats.nuid import NUID

from custody_eventsourcing.batches import Batches, Write
from custody_eventsourcing.records import WRITE
from handlers.ports import (
    MAX_BATCH_MESSAGES,
    AppendConflictError,
    AppendForbiddenError,
    LogError,
    LogUnavailableError,
    OutcomeUnknownError,
)
from infra.nats import wire_format
from infra.nats.appends import append

if TYPE_CHECKING:
    from collections.abc import Sequence

    from custody_eventsourcing.reading import StreamView
    from infra.nats.exchange import Exchange

_ANSWER_TIMEOUT_S = 5.0
_RETRY_PAUSE_S = 0.05


class Publisher:
    """Stores messages in one stream."""

    def __init__(self, exchange: Exchange, view: StreamView) -> None:
        self._exchange = exchange
        self._connection = exchange.connection
        self._view = view
        self._batches = Batches(self._send_batch)
        self._batch_ids = NUID()

    async def commit(self, writes: Sequence[Write], write_id: str, deadline: float) -> int:
        """Store all messages or none; return the position of the first, the others follow without a gap.

        The first write must have an expectation. Without an answer, the same messages are sent again until one comes.
        If the expectation fails then, the message that is stored on the subject shows whether an earlier send was
        stored: it has this write's id.

        Raises:
            AppendConflictError: an expectation does not hold; none of these messages is stored.
            AppendRejectedError: the broker will never take this content.
            OutcomeUnknownError: no answer before the deadline.
            LogUnavailableError: no broker before the deadline; nothing was stored.
            NotSupportedError: more messages than an atomic batch takes.
        """
        if len(writes) > MAX_BATCH_MESSAGES:
            raise NotSupportedError(
                f"{len(writes)} messages in one insert: the broker stores at most {MAX_BATCH_MESSAGES} atomically"
            )
        loop = asyncio.get_running_loop()
        unknown: OutcomeUnknownError | None = None
        while True:
            failure: LogError
            try:
                return await self._send(writes, deadline)
            except AppendConflictError as error:
                if unknown is None:
                    raise
                position = await self._own_position(writes[0], write_id)
                if position is not None:
                    return position
                failure = OutcomeUnknownError(f"{unknown}; then {error}")
            except OutcomeUnknownError as error:
                failure = unknown = error
            except LogUnavailableError as error:
                failure = unknown or error
            if loop.time() + _RETRY_PAUSE_S >= deadline:
                raise failure
            await asyncio.sleep(_RETRY_PAUSE_S)
            await self._connection.wait_connected(max(0.0, deadline - loop.time()))

    async def _own_position(self, write: Write, write_id: str) -> int | None:
        """Return the position at which an earlier send stored the first message; None if it is not known yet.

        Raises:
            AppendConflictError: another writer's message is in its place.
        """
        try:
            found = await self._view.next(write.message.subject, (write.expected or 0) + 1)
        except (LogUnavailableError, AppendForbiddenError):
            # Without the right to read, the outcome stays unknown.
            return None
        if found is None:
            return None
        if found.headers.get(WRITE) != write_id:
            raise AppendConflictError(f"another message is stored at position {found.position}")
        return found.position

    async def _send(self, writes: Sequence[Write], deadline: float) -> int:
        if len(writes) == 1:
            return await self._send_once(writes, "", deadline)
        return await self._batches.store(writes, deadline)

    async def _send_batch(self, writes: Sequence[Write], deadline: float) -> int:
        # A new id for each send: the broker may still hold the first messages of a batch whose last ones were lost.
        return await self._send_once(writes, self._batch_ids.next().decode(), deadline)

    async def _send_once(self, writes: Sequence[Write], batch_id: str, deadline: float) -> int:
        last = await append(
            self._exchange,
            self._view.stream,
            [write.message for write in writes],
            [_condition(write) for write in writes],
            batch_id=batch_id,
            timeout_s=min(_ANSWER_TIMEOUT_S, max(_RETRY_PAUSE_S, deadline - asyncio.get_running_loop().time())),
        )
        return last - len(writes) + 1


def _condition(write: Write) -> str:
    if write.expected is None:
        return ""
    return wire_format.header_lines({wire_format.EXPECTED_LAST_SUBJECT_SEQUENCE: str(write.expected)})
