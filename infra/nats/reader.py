"""Reading the log in order: fast in bulk, endless for those who follow, through whatever befalls the broker.

A reader owns one ephemeral push consumer at a time. It trusts nothing but positions: a gap, a silence longer
than two heartbeats or a new connection, and it makes itself another consumer that starts right behind the last
message handed over. What it holds for a slow taker is bounded by the broker's flow control, whose requests it
answers only when its buffer is empty.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from handlers.ports import LogTruncatedError, LogUnavailableError, StoredMessage
from infra.nats import wire_format

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from nats.aio.subscription import Subscription

    from infra.nats.api import JetStreamApi
    from infra.nats.library_client import Frame

CHUNK_MESSAGES = 2_000
"""The most that a reader hands over at once, so that its taker can let others run in between."""

PATIENCE_S = 10.0
"""How long a bounded read goes without any progress before it gives up."""

_HEARTBEAT_S = 0.5
_SILENCE_S = 1.25
_RETRY_PAUSE_S = 0.1
_NS_PER_S = 1_000_000_000
_new = object.__new__
_message: Callable[[type[StoredMessage], tuple[Any, ...]], StoredMessage] = tuple.__new__
"""Past the constructors, which cost twice as much: a rebuild takes millions of messages."""


class _Delivery:
    """One consumer's messages; `broken` once it is certain that some are missing."""

    def __init__(self, received: int, *, gapless: bool) -> None:
        self._received = received
        self.buffer: list[StoredMessage] = []
        self.flow_reply: str | None = None
        self.broken = False
        self.news = asyncio.Event()
        self.consumer: str | None = None
        self.subscription: Subscription | None = None
        self.heard_at = asyncio.get_running_loop().time()
        self._loop = asyncio.get_running_loop()
        self._gapless = gapless
        self._consumer_sequence = 0
        self._before = "unknown before the first delivery "

    def take(self, frames: Sequence[Frame]) -> None:
        """What has come in for this consumer's subscription."""
        self.heard_at = self._loop.time()
        position, consumer_sequence, before, add = (
            self._received, self._consumer_sequence, self._before, self.buffer.append,
        )  # fmt: skip
        for subject, reply, head, body in frames:
            if not head.startswith(wire_format.VERSION_LINE) and head:  # as `wire_format.is_status`, without the call
                self._on_status(reply or wire_format.stalled_reply(head))
                continue
            if self.broken:
                continue
            if reply.startswith(f"{before}{position + 1}."):
                # The next position, as nearly all are, so nothing is missing before it; taking the reply subject apart
                # costs a third of reading.
                position += 1
                consumer_sequence += 1
            else:
                try:
                    found = wire_format.delivered(reply)
                except (ValueError, IndexError):  # no delivery at all
                    self.broken = True
                    continue
                if found.consumer_sequence != consumer_sequence + 1 or (
                    self._gapless and found.position != position + 1
                ):
                    self.broken = True
                    continue
                before, position, consumer_sequence = found
            headers = _new(wire_format.StoredHeaders)
            headers.block = head
            add(_message(StoredMessage, (position, subject, body, headers)))
        self._received, self._consumer_sequence, self._before = position, consumer_sequence, before
        self.news.set()

    def _on_status(self, flow_reply: str | None) -> None:
        """A heartbeat, or the question whether the broker may go on sending; heartbeats repeat it."""
        if flow_reply:
            self.flow_reply = flow_reply

    def interrupt(self) -> None:
        """The connection changed: messages may have been lost on the way."""
        self.broken = True
        self.news.set()


class StreamReader:
    """One pass over a stream behind position `after`, or over what in it matches a filter; used once."""

    def __init__(
        self,
        api: JetStreamApi,
        stream: str,
        *,
        after: int = 0,
        subject_filter: str | None = None,
        gaps: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`gaps`: positions that the stream lacks are passed over; else nothing comes from there on."""
        self._api = api
        self._connection = api.connection
        self._stream = stream
        self._taken = after
        """The position of the last message handed over."""
        self._filter = subject_filter
        self._gapless = subject_filter is None and not gaps
        self._patience_s = patience_s
        self._delivery: _Delivery | None = None

    async def until(self, position: int) -> AsyncGenerator[list[StoredMessage], None]:
        """Chunks of the messages up to `position`, which must be the position of one.

        Raises:
            LogUnavailableError: nothing came for a while.
            LogTruncatedError: the log ends earlier.
        """
        if position <= self._taken:
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
        """The messages one by one, for ever.

        Raises:
            LogTruncatedError: the log ends before the last message handed over.
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
        """What `follow` gives, as many messages at once as have come. Raises as `follow` does."""
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
                    self._taken = chunk[-1].position
                    yield chunk
                    progress_at = loop.time()
                    continue
                if until is not None and loop.time() - progress_at > self._patience_s:
                    raise LogUnavailableError(
                        f"{self._stream}: nothing came after position {self._taken} for {self._patience_s:g} s"
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
        """Let the broker go on sending; return when something came, or when it has been silent for too long."""
        delivery.news.clear()
        if delivery.flow_reply is not None and self._connection.is_connected:
            await self._connection.client.publish(delivery.flow_reply)
            delivery.flow_reply = None
        if delivery.buffer or delivery.broken:
            return
        try:
            async with asyncio.timeout(_SILENCE_S):
                await delivery.news.wait()
        except TimeoutError:
            return

    async def _restart(self, until: int | None) -> None:
        """Another consumer, right behind what was taken; without success, the next round tries again."""
        await self._stop()
        if self._connection.client.is_closed:
            raise LogUnavailableError(f"the connection to {self._connection.url} was closed")
        if not self._connection.is_connected and not await self._connection.wait_connected(
            min(_SILENCE_S, self._patience_s)
        ):
            return
        try:
            if self._filter is None:
                await self._check_range(until)
            await self._start()
        except LogTruncatedError:
            raise
        except LogUnavailableError:
            await self._stop()
            await asyncio.sleep(_RETRY_PAUSE_S)

    async def _check_range(self, until: int | None) -> None:
        state = await self._api.stream_state(self._stream)
        first, last = int(state["first_seq"]), int(state["last_seq"])
        if last < self._taken or (until is not None and last < until):
            wanted = max(self._taken, until or 0)
            raise LogTruncatedError(f"{self._stream} ends at position {last}, before {wanted}")
        if self._taken == 0 and first > 0:
            self._taken = first - 1

    async def _start(self) -> None:
        client = self._connection.client
        delivery = _Delivery(self._taken, gapless=self._gapless)
        self._delivery = delivery
        inbox = client.new_inbox()
        delivery.subscription = await client.subscribe_frames(inbox, delivery.take)
        config: dict[str, Any] = {
            "deliver_subject": inbox,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._taken + 1,
            "ack_policy": "none",
            "max_deliver": 1,
            "flow_control": True,
            "idle_heartbeat": int(_HEARTBEAT_S * _NS_PER_S),
            "mem_storage": True,
            "num_replicas": 1,
        }
        if self._filter is not None:
            config["filter_subject"] = self._filter
        answer = await self._api.log_call(
            f"CONSUMER.CREATE.{self._stream}", {"stream_name": self._stream, "config": config}
        )
        delivery.consumer = str(answer["name"])

    async def _stop(self) -> None:
        """Leave the current consumer, and with it what was delivered but not taken."""
        delivery, self._delivery = self._delivery, None
        if delivery is None:
            return
        client = self._connection.client
        if delivery.subscription is not None and not client.is_closed:
            await delivery.subscription.unsubscribe()
        if delivery.consumer is not None:
            await self._api.notify(f"CONSUMER.DELETE.{self._stream}.{delivery.consumer}")
