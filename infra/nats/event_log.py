"""A pool's event log on a JetStream stream: appends with optimistic concurrency, exact reads."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nats.nuid import NUID

from handlers.ports import (
    MAX_BATCH_MESSAGES,
    AppendConflictError,
    AppendRejectedError,
    LogError,
    LogUnavailableError,
    OutcomeUnknownError,
    StoredMessage,
)
from infra.nats import wire_format
from infra.nats.api import MESSAGE_NOT_FOUND, REQUEST_TIMEOUT_S, ApiError, JetStreamApi
from infra.nats.broker_errors import BrokerUnavailableError
from infra.nats.reader import StreamReader
from infra.nats.staging import Staging
from infra.nats.stream import evt_prefix, stream_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from nats.aio.subscription import Subscription

    from handlers.ports import NewMessage
    from infra.nats.connection import NatsConnection, PermissionViolation
    from infra.nats.library_client import Frame

APPEND_TIMEOUT_S = 5.0
STAGED_AT_ONCE = 64
"""Messages that are worth a write of their own."""

_WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
_BATCH_INCOMPLETE = 10176
_STORE_FAILED = 10077
_TOO_MANY_REQUESTS = 429
_FIRST_SERVER_FAULT = 500
_NO_RESPONDERS = "503"
_COMMIT = wire_format.header_lines({wire_format.BATCH_COMMIT: "1"})


class _Answer(NamedTuple):
    """What came back for an append: the body, and the status of a message that is the broker's own word."""

    body: bytes
    status: str | None


@dataclass(slots=True)
class _Flight:
    """An append on its way."""

    subjects: tuple[str, ...]
    answer: asyncio.Future[_Answer]


class NatsEventLog:
    """The `EventLog` port on the stream of one pool; made by `open`."""

    def __init__(self, connection: NatsConnection, pool: str, *, append_timeout_s: float, api: JetStreamApi) -> None:
        self._connection = connection
        self._pool = pool
        self._stream = stream_name(pool)
        self._prefix = evt_prefix(pool)
        self._append_timeout_s = append_timeout_s
        self._api = api
        self._inbox = connection.client.new_inbox()
        self._numbers = itertools.count(1)
        self._batch_ids = NUID()
        self._flights: dict[str, _Flight] = {}
        self._staging = Staging(self._new_batch_id)
        self._subscription: Subscription | None = None
        self._stop_listening = [
            connection.disconnected.add(self._on_disconnected),
            connection.violated.add(self._on_violation),
        ]

    @classmethod
    async def open(
        cls,
        connection: NatsConnection,
        pool: str,
        *,
        append_timeout_s: float = APPEND_TIMEOUT_S,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> NatsEventLog:
        """The log of a pool whose stream exists (`ensure_stream`); `close` it before the connection.

        Raises:
            LogUnavailableError: there is no connection.
        """
        if not connection.is_connected:
            raise LogUnavailableError(f"no connection to {connection.url}")
        api = JetStreamApi(connection, timeout_s=request_timeout_s)
        log = cls(connection, pool, append_timeout_s=append_timeout_s, api=api)
        log._subscription = await connection.client.tap(f"{log._inbox}.*", log._on_answers)
        return log

    async def close(self) -> None:
        """Stop listening for answers; appends still on their way have an unknown outcome."""
        while self._stop_listening:
            self._stop_listening.pop()()
        self._fail_flights("the log was closed")
        if self._subscription is not None and not self._connection.client.is_closed:
            await self._subscription.unsubscribe()
        self._subscription = None

    async def append(self, messages: Sequence[NewMessage], *, expected_position: int) -> int:
        """Append all or nothing right after `expected_position`; see the port for what it raises."""
        count = len(messages)
        if not 1 <= count <= MAX_BATCH_MESSAGES:
            raise ValueError(f"an append takes 1 to {MAX_BATCH_MESSAGES} messages, not {count}")
        reply = f"{self._inbox}.{next(self._numbers)}"
        staged = self._staging.take(messages, expected_position)
        if staged is not None and staged.sent:
            batch_id, sent = staged.batch_id, staged.sent
        else:
            batch_id, sent = self._new_batch_id() if count > 1 else "", 0
        frames = self._encode(messages[sent:], expected_position, batch_id, sent, reply)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Answer] = loop.create_future()
        self._flights[reply] = _Flight(tuple(message.subject for message in messages), answer)
        deadline = loop.call_later(self._append_timeout_s, self._on_timeout, answer)
        try:
            await self._connection.send(frames)
            found = await answer
        except BrokerUnavailableError as error:
            raise LogUnavailableError(str(error)) from error
        finally:
            deadline.cancel()
            del self._flights[reply]
        return self._position_of(found, expected_position + count, batch_id, count)

    def stage(self, messages: Sequence[NewMessage], *, expected_position: int) -> None:
        """Send the messages ahead as an open batch, some at a time, all but the last: that one commits it.

        A batch costs the broker most before its commit, so half of an append is done when its turn comes. One that is
        never committed is dropped by the broker after ten seconds; what goes wrong with it shows at the commit.
        """
        batch = self._staging.batch_for(messages, expected_position)
        ahead = min(len(messages), MAX_BATCH_MESSAGES) - 1
        if batch is None or ahead - batch.sent < STAGED_AT_ONCE:
            return
        with contextlib.suppress(AppendRejectedError):  # the append will say so
            frames = self._encode(messages[batch.sent : ahead], expected_position, batch.batch_id, batch.sent)
            if self._connection.send_soon(frames):
                batch.sent = ahead

    def _new_batch_id(self) -> str:
        return self._batch_ids.next().decode()

    def _encode(
        self,
        messages: Sequence[NewMessage],
        expected_position: int,
        batch_id: str,
        sent: int,
        reply: str = "",
    ) -> bytes:
        """Encode what follows the first `sent` messages of an append; with a reply subject it is the end."""
        limit_bytes = self._connection.client.max_payload
        last = sent + len(messages)
        expected = {wire_format.EXPECTED_LAST_SEQUENCE: str(expected_position)}
        condition = "" if sent else wire_format.header_lines(expected)
        of_batch = wire_format.header_lines({wire_format.BATCH_ID: batch_id})
        frames: list[bytes] = []
        for number, message in enumerate(messages, start=sent + 1):
            if not message.subject.startswith(self._prefix):
                raise AppendRejectedError(f"not a subject of pool {self._pool}: {message.subject!r}")
            control = condition if number == 1 else ""
            ends = reply if number == last else ""
            if batch_id:
                control = f"{control}{of_batch}{wire_format.BATCH_SEQUENCE}: {number}\r\n{_COMMIT if ends else ''}"
            frames.append(wire_format.publish_frame(message, control, reply=ends, limit_bytes=limit_bytes))
        return b"".join(frames)

    def _on_answers(self, frames: Sequence[Frame]) -> None:
        # Straight off the wire: by way of the library an acknowledgement waits for two more turns of the event loop,
        # and each may be full of commands.
        for subject, _, head, body in frames:
            flight = self._flights.get(subject)
            if flight is not None and not flight.answer.done():
                flight.answer.set_result(_Answer(body, wire_format.status_of(head)))

    def _on_timeout(self, answer: asyncio.Future[_Answer]) -> None:
        if not answer.done():
            answer.set_exception(OutcomeUnknownError(f"no answer to an append within {self._append_timeout_s:g} s"))

    def _on_disconnected(self) -> None:
        self._staging.forget()
        self._fail_flights("the connection went while an append was on its way")

    def _on_violation(self, violation: PermissionViolation) -> None:
        if violation.operation != "publish":
            return
        for flight in tuple(self._flights.values()):
            if not flight.answer.done() and wire_format.violating_subjects(flight.subjects, violation.subject):
                flight.answer.set_exception(
                    AppendRejectedError(f"the broker does not allow a publish to {violation.subject}")
                )

    def _fail_flights(self, reason: str) -> None:
        for flight in tuple(self._flights.values()):
            if not flight.answer.done():
                flight.answer.set_exception(OutcomeUnknownError(reason))

    def _position_of(self, answer: _Answer, position: int, batch_id: str, count: int) -> int:
        """The position that a proper acknowledgement of this very append names, or the error that it is."""
        if answer.status == _NO_RESPONDERS:
            raise LogUnavailableError(f"no stream takes {self._prefix}> at {self._connection.url}")
        try:
            ack: Any = json.loads(answer.body)
        except ValueError:
            ack = None
        if not isinstance(ack, dict):
            raise OutcomeUnknownError(f"not an acknowledgement: {answer.body[:100]!r}")
        if "error" in ack:
            raise _append_error(ApiError("append", ack["error"]))
        found = {name: ack.get(name) for name in ("stream", "seq", "batch", "count")}
        proper = {
            "stream": self._stream,
            "seq": position,
            "batch": batch_id or None,
            "count": count if batch_id else None,
        }
        if found != proper or ack.get("duplicate"):
            raise OutcomeUnknownError(f"not the acknowledgement of this append: {ack} instead of {proper}")
        return position

    async def last_position(self) -> int:
        """The last position as the stream's leader knows it; 0 when empty. Raises LogUnavailableError."""
        return int((await self._api.stream_state(self._stream))["last_seq"])

    async def first_position(self) -> int:
        """The position at which the log begins, or would begin. Raises LogUnavailableError."""
        return max(1, int((await self._api.stream_state(self._stream))["first_seq"]))

    async def get(self, position: int) -> StoredMessage | None:
        """The message at a position, from the stream's leader; None if there is none. Raises LogUnavailableError."""
        return await self._stored({"seq": position}) if position > 0 else None

    async def last_by_subject(self, subject: str) -> StoredMessage | None:
        """The newest message on one exact subject, from the stream's leader. Raises LogUnavailableError."""
        return await self._stored({"last_by_subj": subject})

    async def history(self, subject_filter: str) -> list[StoredMessage]:
        """All messages whose subject matches the filter, in order. Raises LogUnavailableError.

        Complete up to the newest match that the stream's leader knew when asked, whichever replica delivers.
        """
        newest = await self._stored({"last_by_subj": subject_filter})
        if newest is None:
            return []
        reader = StreamReader(self._api, self._stream, subject_filter=subject_filter)
        return [message async for chunk in reader.until(newest.position) for message in chunk]

    def read(self, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message with `after` < position <= `until`, in order and without gaps, in chunks."""
        return StreamReader(self._api, self._stream, after=after).until(until)

    async def scan(self) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message that is there now, in order and in chunks; what is missing between them is passed over.

        For those who look for what is missing. Raises LogUnavailableError.
        """
        newest = await self._stored({"last_by_subj": f"{self._prefix}>"})
        if newest is None:
            return
        chunks = StreamReader(self._api, self._stream, gaps=True).until(newest.position)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    def follow(self, *, after: int) -> AsyncGenerator[StoredMessage, None]:
        """Every message behind `after`, those to come included, for ever: through restarts of the broker.

        Raises:
            LogTruncatedError: the log ends before a position that was already read.
            LogUnavailableError: the connection was closed for good.
        """
        return StreamReader(self._api, self._stream, after=after).follow()

    def follow_chunks(self, *, after: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """What `follow` gives, as many messages at once as have come. Raises as `follow` does."""
        return StreamReader(self._api, self._stream, after=after).follow_chunks()

    async def _stored(self, request: Mapping[str, Any]) -> StoredMessage | None:
        try:
            answer = await self._api.call(f"STREAM.MSG.GET.{self._stream}", request)
        except ApiError as error:
            if error.err_code == MESSAGE_NOT_FOUND:
                return None
            raise LogUnavailableError(str(error)) from error
        stored = answer["message"]
        return StoredMessage(
            position=int(stored["seq"]),
            subject=stored["subject"],
            body=base64.b64decode(stored.get("data", "")),
            headers=wire_format.decode_header_block(base64.b64decode(stored.get("hdrs", ""))),
        )


def _append_error(error: ApiError) -> LogError:
    """What a broker's refusal of an append means.

    An incomplete batch is dropped whole; yet during a change of leader the refusal may come from a broker that
    missed the first part while the one before it had all, so the outcome has to be looked up. Likewise when
    the store failed half-way through a write.
    """
    if error.err_code in _WRONG_LAST_SEQUENCE:
        return AppendConflictError(error.description)
    if error.err_code in {_BATCH_INCOMPLETE, _STORE_FAILED}:
        return OutcomeUnknownError(str(error))
    if error.code == _TOO_MANY_REQUESTS or error.code >= _FIRST_SERVER_FAULT:
        return LogUnavailableError(str(error))
    return AppendRejectedError(str(error))
