"""What all look-ups in the log share: reads within limits, decoded a slice at a time, and the results that are kept.

One slice is decoded in a turn of the event loop, so that commands, the sweeper and the broker's pings go on meanwhile.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from domain.subjects import subject_token
from handlers.memory.shared_results import SharedResults
from handlers.ports import UnreadableEventError, evt_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from domain.events import Entity
    from domain.recorded import Recorded
    from handlers.ports import Codec, ReadableLog, StoredMessage

MAX_REQUESTS = 64
"""Single messages asked for at once: their answers come together, and all of them are taken in one turn of the loop."""
MAX_HISTORIES = 8
"""Histories read at once: each has a consumer at the broker, and up to a chunk of messages in memory."""
SLICE_EVENTS = 64
"""Events decoded and folded in one turn of the event loop: about a millisecond."""
SLICE_BYTES = 256 * 1024
"""Bytes of events decoded in one turn, but for an event that is larger by itself."""
_FEW_EVENTS = 8
"""So few events, as most commands leave, are decoded without giving up the turn."""
_KEPT_MESSAGES = 4


class KeptSize:
    """How many bytes of the messages that were read an entity still holds, at most.

    Of all of them it keeps its definition, outcome, hand-off and last lease.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._largest = 0

    @property
    def kept(self) -> int:
        """Bytes."""
        return min(self._bytes, _KEPT_MESSAGES * self._largest)

    def add(self, messages: Sequence[StoredMessage]) -> None:
        """Count messages that were folded into the entity."""
        for message in messages:
            self._bytes += len(message.body)
            self._largest = max(self._largest, len(message.body))


class LogReads:
    """Reads of one pool's log."""

    def __init__(
        self, pool_id: str, log: ReadableLog, codec: Codec, committed_position: Callable[[], int] | None = None
    ) -> None:
        """`committed_position` returns the one up to which the log is known to have acknowledged what it holds."""
        self._prefix = evt_prefix(pool_id)
        self._log = log
        self._codec = codec
        self._committed_position = committed_position
        self.shared: SharedResults[Any] = SharedResults()
        """The results of look-ups. They hold for good: a service whose log is replaced, or loses its tail, ends."""
        self._requests = asyncio.Semaphore(MAX_REQUESTS)
        self._histories = asyncio.Semaphore(MAX_HISTORIES)
        self._slice = asyncio.Lock()

    @property
    def committed_position(self) -> int:
        """The position up to which the log is known to have acknowledged what it holds; 0 if none is known."""
        return self._committed_position() if self._committed_position is not None else 0

    def subject(self, entity: Entity, entity_id: str) -> str:
        """Return what the subjects of an entity's events begin with; the event's name follows."""
        return f"{self._prefix}{entity.value}.{subject_token(entity_id)}"

    async def get(self, position: int) -> StoredMessage | None:
        """Return the message at a position. Raises LogUnavailableError."""
        async with self._requests:
            return await self._log.get(position)

    async def last(self, subject: str) -> StoredMessage | None:
        """Return the newest message of a subject. Raises LogUnavailableError."""
        async with self._requests:
            return await self._log.last_by_subject(subject)

    async def first(self, subject: str, after: int, until: int) -> Recorded | None:
        """Return a subject's first readable event with `after` < position <= `until`. Raises LogUnavailableError."""
        async with self._histories, aclosing(self._log.matching([subject], after=after, until=until)) as chunks:
            async for chunk in chunks:
                for message in chunk:
                    for recorded in self.decoded([message]):
                        return recorded
        return None

    async def take_chunks(
        self, subjects: Sequence[str], after: int, until: int, take: Callable[[Sequence[StoredMessage]], None]
    ) -> None:
        """Have every message of these subjects taken, undecoded, in order and in chunks. Raises LogUnavailableError."""
        async with self._histories, aclosing(self._log.matching(subjects, after=after, until=until)) as chunks:
            async for chunk in chunks:
                take(chunk)

    async def take_slices(
        self,
        subjects: Sequence[str],
        after: int,
        until: int,
        take: Callable[[Sequence[StoredMessage], list[Recorded]], None],
    ) -> None:
        """Have every message of these subjects taken, with its events, a slice in a turn of the event loop.

        Raises LogUnavailableError.
        """
        async with self._histories, aclosing(self._log.matching(subjects, after=after, until=until)) as chunks:
            async for chunk in chunks:
                await self.take_slices_of(chunk, take)

    async def take_slices_of(
        self,
        messages: Sequence[StoredMessage],
        take: Callable[[Sequence[StoredMessage], list[Recorded]], None],
    ) -> None:
        """Have messages taken with their events, in slices, each in a turn of its own."""
        for some in _slices(messages):
            async with self._slice:
                take(some, self.decoded(some))
                if len(messages) > _FEW_EVENTS:
                    await asyncio.sleep(0)

    def decoded(self, messages: Sequence[StoredMessage]) -> list[Recorded]:
        """Return the events of messages; those that cannot be read are left out."""
        records = []
        for message in messages:
            try:
                records.append(self._codec.decode(message))
            except UnreadableEventError:
                continue
        return records


def _slices(messages: Sequence[StoredMessage]) -> Iterator[Sequence[StoredMessage]]:
    """Yield the messages in slices of at most `SLICE_EVENTS`, and `SLICE_BYTES` unless a single one is larger."""
    start = size = 0
    for index, message in enumerate(messages):
        size += len(message.body)
        if index - start >= SLICE_EVENTS or (size > SLICE_BYTES and index > start):
            yield messages[start:index]
            start, size = index, len(message.body)
    if start < len(messages):
        yield messages[start:]
