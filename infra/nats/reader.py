"""Reads a stream in order, in bulk or for ever, across restarts of the broker.

A reader has one ephemeral push consumer at a time. It relies on positions alone: after a gap, a silence of more than
two heartbeats or a new connection, it creates another consumer that starts right after the last message handed over,
if the stream still holds that very message: a stream that was deleted and made anew has other ones at its positions.
The broker's flow control limits how much is buffered for a slow caller: the reader answers a flow control request only
when its buffer is empty.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from handlers.ports import LogMissingError, LogTruncatedError, LogUnavailableError, StoredMessage
from infra.nats import wire_format
from infra.nats.jetstream_errors import TOO_MANY_CONSUMERS, ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from nats.aio.subscription import Subscription

    from infra.nats.api import JetStreamApi
    from infra.nats.library_client import Frame

CHUNK_MESSAGES = 2_000
"""The most messages in a chunk, so that the caller can yield to other tasks in between."""

READ_TIMEOUT_S = 10.0
"""How long a bounded read may make no progress before it fails."""

_HEARTBEAT_S = 0.5
_SILENCE_S = 1.25
_RETRY_PAUSE_S = 0.1
MISSING_S = 3.0
"""How long a stream must be missing before a reader believes that it was deleted."""
_IDLE_S = 5
"""An abandoned consumer is deleted by the broker after so long, whatever the stream's own limit is."""


class _Delivery:
    """The messages of one consumer; `broken` once messages are known to be missing."""

    def __init__(self, received: int, *, gapless: bool) -> None:
        self._received = received
        self.buffer: list[StoredMessage] = []
        self.flow_reply: str | None = None
        self.broken = False
        self.changed = asyncio.Event()
        self.consumer: str | None = None
        self.subscription: Subscription | None = None
        self.heard_at = asyncio.get_running_loop().time()
        self._loop = asyncio.get_running_loop()
        self._gapless = gapless
        self._consumer_sequence = 0
        self._before = "unknown before the first delivery "

    def on_frames(self, frames: Sequence[Frame]) -> None:
        """Take the frames of this consumer's subscription."""
        self.heard_at = self._loop.time()
        position, consumer_sequence, before, add = (
            self._received, self._consumer_sequence, self._before, self.buffer.append,
        )  # fmt: skip
        for subject, reply, head, body in frames:
            # `wire_format.is_status`, inlined; a stored message may have any header block.
            if not head.startswith(wire_format.VERSION_LINE) and head and not reply.startswith(wire_format.ACK_PREFIX):
                self._on_status(reply or wire_format.stalled_reply(head))
                continue
            if self.broken:
                continue
            if reply.startswith(f"{before}{position + 1}."):
                # The next position, as for nearly all messages, so none is missing before it. Parsing the reply subject
                # takes a third of the time of reading.
                position += 1
                consumer_sequence += 1
            else:
                try:
                    found = wire_format.delivered(reply)
                except (ValueError, IndexError):  # not a delivery
                    self.broken = True
                    continue
                if found.consumer_sequence != consumer_sequence + 1 or (
                    self._gapless and found.position != position + 1
                ):
                    self.broken = True
                    continue
                before, position, consumer_sequence = found
            add(StoredMessage(position, subject, body, wire_format.StoredHeaders(head)))
        self._received, self._consumer_sequence, self._before = position, consumer_sequence, before
        self.changed.set()

    def _on_status(self, flow_reply: str | None) -> None:
        """Take a heartbeat or a flow control request; heartbeats repeat an unanswered one."""
        if flow_reply:
            self.flow_reply = flow_reply

    def interrupt(self) -> None:
        """The connection changed, so messages may be lost."""
        self.broken = True
        self.changed.set()


class StreamReader:
    """Reads a stream once, after position `after`, all messages or those whose subject matches a filter."""

    def __init__(
        self,
        api: JetStreamApi,
        stream: str,
        *,
        after: int = 0,
        subject_filter: str | Sequence[str] | None = None,
        gaps: bool = False,
        at_most: int | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """`subject_filter`: one filter, or several of which none matches what another does.

        `gaps`: whether to skip positions that the stream lacks; if not, a read cannot go beyond one.
        `at_most`: so many messages are wanted, and the broker sends no more; None: it sends what there is.
        """
        self._api = api
        self._connection = api.connection
        self._stream = stream
        self._position = after
        """The position of the last message handed over."""
        self._last: StoredMessage | None = None
        """The last message handed over; of one that follows, the message at `after` until then."""
        self._missing_since: float | None = None
        self._filter = subject_filter
        self._gapless = subject_filter is None and not gaps
        self._at_most = at_most
        self._timeout_s = timeout_s
        self._delivery: _Delivery | None = None
        self._trouble = ""
        """Why there is no consumer, for the end of an error's message."""

    async def until(self, position: int) -> AsyncGenerator[list[StoredMessage], None]:
        """Yield the messages up to `position` in chunks; there must be a message at `position`.

        Raises:
            LogUnavailableError: no progress for `timeout_s`.
            LogTruncatedError: the log ends earlier.
        """
        if position <= self._position:
            return
        chunks = self._chunks(until=position)
        try:
            async for chunk in chunks:
                if chunk[-1].position >= position:
                    yield [message for message in chunk if message.position <= position]
                    return
                yield chunk
        finally:
            await chunks.aclose()

    async def follow(self) -> AsyncGenerator[StoredMessage, None]:
        """Yield the messages one by one, for ever.

        Raises:
            LogTruncatedError: the log ends before the last message handed over, or holds another one there.
            LogMissingError: the stream was deleted.
            LogUnavailableError: the connection was closed for good.
        """
        chunks = self.follow_chunks()
        try:
            async for chunk in chunks:
                for message in chunk:
                    yield message
        finally:
            await chunks.aclose()

    def follow_chunks(self) -> AsyncGenerator[list[StoredMessage], None]:
        """Yield the messages of `follow` in chunks, as they arrive. Raises as `follow` does."""
        return self._chunks(until=None)

    async def _chunks(self, until: int | None) -> AsyncGenerator[list[StoredMessage], None]:
        loop = asyncio.get_running_loop()
        forget = (
            self._connection.disconnected.add(self._interrupt),
            self._connection.reconnected.add(self._interrupt),
        )
        progress_at = loop.time()
        try:
            while True:
                delivery = self._delivery
                if delivery is not None and delivery.buffer:
                    chunk = delivery.buffer[:CHUNK_MESSAGES]
                    del delivery.buffer[:CHUNK_MESSAGES]
                    self._last = chunk[-1]
                    self._position = self._last.position
                    yield chunk
                    progress_at = loop.time()
                    continue
                if until is not None and loop.time() - progress_at > self._timeout_s:
                    raise LogUnavailableError(
                        f"{self._stream}: nothing came after position {self._position} for {self._timeout_s:g} s"
                        f"{self._trouble}"
                    )
                if delivery is None or delivery.broken or loop.time() - delivery.heard_at > _SILENCE_S:
                    await self._restart(until)
                else:
                    await self._wait(delivery)
        finally:
            for end in forget:
                end()
            await self._stop()

    def _interrupt(self) -> None:
        if self._delivery is not None:
            self._delivery.interrupt()

    async def _wait(self, delivery: _Delivery) -> None:
        """Answer a flow control request; return when something arrived, or after a silence of `_SILENCE_S`."""
        delivery.changed.clear()
        if delivery.flow_reply is not None and self._connection.is_connected:
            await self._connection.client.publish(delivery.flow_reply)
            delivery.flow_reply = None
        if delivery.buffer or delivery.broken:
            return
        try:
            async with asyncio.timeout(_SILENCE_S):
                await delivery.changed.wait()
        except TimeoutError:
            return

    async def _restart(self, until: int | None) -> None:
        """Create another consumer, right after the last message handed over; on failure the next round retries."""
        await self._stop()
        if self._connection.client.is_closed:
            raise LogUnavailableError(f"the connection to {self._connection.url} was closed")
        if not self._connection.is_connected and not await self._connection.wait_connected(
            min(_SILENCE_S, self._timeout_s)
        ):
            return
        try:
            if self._filter is None:
                await self._check_range(until)
            if self._gapless:
                await self._check_same_log(follows=until is None)
            await self._start()
            self._missing_since = None
        except LogTruncatedError:
            raise
        except LogUnavailableError as error:
            self._note_missing(error)
            self._trouble = f": {error}"
            await self._stop()
            await asyncio.sleep(_RETRY_PAUSE_S)
        else:
            self._trouble = ""

    async def _check_range(self, until: int | None) -> None:
        state = await self._api.stream_state(self._stream)
        first, last = int(state["first_seq"]), int(state["last_seq"])
        if last < self._position or (until is not None and last < until):
            wanted = max(self._position, until or 0)
            raise LogTruncatedError(f"{self._stream} ends at position {last}, before {wanted}")
        if self._position == 0 and first > 0:
            self._position = first - 1

    async def _check_same_log(self, *, follows: bool) -> None:
        """Raise LogTruncatedError unless the stream holds the last message handed over."""
        if not self._position or (self._last is None and not follows):
            return
        found = await self._api.stored_in_log(self._stream, {"seq": self._position})
        self._last = self._last or found
        if found != self._last:
            raise LogTruncatedError(
                f"{self._stream} was replaced: at position {self._position} it holds another message than was read"
            )

    def _note_missing(self, error: LogUnavailableError) -> None:
        """Raise LogMissingError once the stream has been missing for `MISSING_S`.

        A cluster that has just elected a leader may not know its streams for a moment.
        """
        now = asyncio.get_running_loop().time()
        if not isinstance(error, LogMissingError):
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since >= MISSING_S:
            raise error

    async def _start(self) -> None:
        client = self._connection.client
        delivery = _Delivery(self._position, gapless=self._gapless)
        self._delivery = delivery
        inbox = client.new_inbox()
        delivery.subscription = await client.subscribe_frames(inbox, delivery.on_frames)
        config: dict[str, Any] = {
            "deliver_subject": inbox,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._position + 1,
            "ack_policy": "none",
            "max_deliver": 1,
            "flow_control": True,
            "idle_heartbeat": int(_HEARTBEAT_S * wire_format.NS_PER_S),
            "inactive_threshold": _IDLE_S * wire_format.NS_PER_S,
            "mem_storage": True,
            "num_replicas": 1,
        }
        if self._at_most is not None:
            # The broker waits for acknowledgements then, and none are sent.
            config |= {"ack_policy": "explicit", "max_ack_pending": self._at_most}
        if isinstance(self._filter, str):
            config["filter_subject"] = self._filter
        elif self._filter is not None:
            config["filter_subjects"] = list(self._filter)
        request = {"stream_name": self._stream, "config": config}
        try:
            answer = await self._api.call(f"CONSUMER.CREATE.{self._stream}", request)
        except ApiError as error:
            if error.err_code != TOO_MANY_CONSUMERS:
                raise LogUnavailableError(str(error)) from error
            raise LogUnavailableError(
                f"{error}: others have made all consumers that the broker allows for {self._stream};"
                f" `nats consumer ls {self._stream}` names them, and `nats consumer rm` deletes those that nothing uses"
            ) from error
        delivery.consumer = str(answer["name"])

    async def _stop(self) -> None:
        """Delete the current consumer, and drop what it delivered but was not handed over."""
        delivery, self._delivery = self._delivery, None
        if delivery is None:
            return
        client = self._connection.client
        if delivery.subscription is not None and not client.is_closed:
            await delivery.subscription.unsubscribe()
        if delivery.consumer is not None:
            await self._api.notify(f"CONSUMER.DELETE.{self._stream}.{delivery.consumer}")
