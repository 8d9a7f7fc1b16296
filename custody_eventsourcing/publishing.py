"""Storing messages, all or nothing and exactly once, under conditions on their subjects."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from eventsourcing.persistence import NotSupportedError
from nats.nuid import NUID

from custody_eventsourcing.batches import Batches, Write
from custody_eventsourcing.exchange import NO_RESPONDERS, status
from custody_eventsourcing.records import WRITE
from handlers.ports import (
    MAX_BATCH_MESSAGES,
    AppendConflictError,
    AppendRejectedError,
    LogError,
    LogUnavailableError,
    OutcomeUnknownError,
)
from infra.nats import wire_format
from infra.nats.api import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.msg import Msg

    from custody_eventsourcing.exchange import Exchange
    from custody_eventsourcing.reading import StreamView

EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"

_ANSWER_TIMEOUT_S = 5.0
_PAUSE_S = 0.05
_CONFLICTS = frozenset({10071, 10164})
_UNDECIDED = frozenset({10176, 10077})
"""An incomplete batch during a change of leader, a store that failed half-way: what became of it must be looked up."""
_TOO_MANY_REQUESTS = 429
_FIRST_SERVER_FAULT = 500


class Publisher:
    """Stores messages in one stream."""

    def __init__(self, exchange: Exchange, view: StreamView) -> None:
        self._exchange = exchange
        self._connection = exchange.connection
        self._view = view
        self._batches = Batches(self._send_batch)
        self._batch_ids = NUID()

    async def commit(self, writes: Sequence[Write], write_id: str, deadline: float) -> int:
        """Store all or nothing; return the position of the first, the others follow without a gap.

        The first write must have an expectation. What gets no answer is sent again, as it was, until one comes: if
        the expectation then fails, what is stored on the subject tells whether it was by us.

        Raises:
            AppendConflictError: another message is stored where one was not expected; nothing of this is.
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
        doubt: OutcomeUnknownError | None = None
        while True:
            failure: LogError
            try:
                return await self._send(writes, deadline)
            except AppendConflictError as error:
                if doubt is None:
                    raise
                position = await self._own_position(writes[0], write_id)
                if position is not None:
                    return position
                failure = OutcomeUnknownError(f"{doubt}; then {error}")
            except OutcomeUnknownError as error:
                failure = doubt = error
            except LogUnavailableError as error:
                failure = doubt or error
            if loop.time() + _PAUSE_S >= deadline:
                raise failure
            await asyncio.sleep(_PAUSE_S)
            await self._connection.wait_connected(max(0.0, deadline - loop.time()))

    async def _own_position(self, write: Write, write_id: str) -> int | None:
        """Where our first message is stored; None if the broker cannot say yet.

        Raises:
            AppendConflictError: another's message is in its place.
        """
        try:
            found = await self._view.next(write.message.subject, (write.expected or 0) + 1)
        except LogUnavailableError:
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
        # Another id each time: the broker may still hold the beginning of one whose end was lost.
        return await self._send_once(writes, self._batch_ids.next().decode(), deadline)

    async def _send_once(self, writes: Sequence[Write], batch_id: str, deadline: float) -> int:
        limit_bytes = self._connection.client.max_payload
        last = len(writes)

        def encode(reply: str) -> bytes:
            return b"".join(
                wire_format.publish_frame(
                    write.message,
                    wire_format.header_lines(_control(write, batch_id, number, last)),
                    reply=reply if number == last else "",
                    limit_bytes=limit_bytes,
                )
                for number, write in enumerate(writes, start=1)
            )

        timeout_s = min(_ANSWER_TIMEOUT_S, max(_PAUSE_S, deadline - asyncio.get_running_loop().time()))
        subjects = [write.message.subject for write in writes]
        answer = await self._exchange.one(encode, subjects, timeout_s)
        return self._first_position(answer, batch_id, last)

    def _first_position(self, answer: Msg, batch_id: str, count: int) -> int:
        if status(answer) == NO_RESPONDERS:
            raise LogUnavailableError(f"no stream takes what belongs into {self._view.stream}")
        try:
            ack: Any = json.loads(answer.data)
        except ValueError:
            ack = None
        if not isinstance(ack, dict):
            raise OutcomeUnknownError(f"not an acknowledgement: {answer.data[:100]!r}")
        if "error" in ack:
            raise _refusal(ApiError("insert", ack["error"]))
        proper = {"stream": self._view.stream, "batch": batch_id or None, "count": count if batch_id else None}
        found = {name: ack.get(name) for name in proper}
        if found != proper or not isinstance(ack.get("seq"), int):
            raise OutcomeUnknownError(f"not the acknowledgement of this insert: {ack}")
        return int(ack["seq"]) - count + 1


def _control(write: Write, batch_id: str, number: int, last: int) -> dict[str, str]:
    control: dict[str, str] = {}
    if write.expected is not None:
        control[EXPECTED_LAST_SUBJECT_SEQUENCE] = str(write.expected)
    if batch_id:
        control[wire_format.BATCH_ID] = batch_id
        control[wire_format.BATCH_SEQUENCE] = str(number)
        if number == last:
            control[wire_format.BATCH_COMMIT] = "1"
    return control


def _refusal(error: ApiError) -> LogError:
    if error.err_code in _CONFLICTS:
        return AppendConflictError(error.description)
    if error.err_code in _UNDECIDED:
        return OutcomeUnknownError(str(error))
    if error.code == _TOO_MANY_REQUESTS or error.code >= _FIRST_SERVER_FAULT:
        return LogUnavailableError(str(error))
    return AppendRejectedError(str(error))
