"""What a projector has folded and not written yet: it grows while the stretch before it is being written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, NamedTuple

from domain.timestamps import EPOCH
from handlers.ports import LogUnavailableError, UnreadableEventError
from handlers.projector.read_model import C, Mark

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from handlers.memory.memory import Memory
    from handlers.ports import Codec, StoredMessage
    from handlers.projector.read_model import Collector


class Stretch(NamedTuple, Generic[C]):
    """Consecutive events' changes, to be written at once."""

    changes: C
    after: Mark
    """Where the read model stands when they are written."""
    events: int


class Stretches(Generic[C]):
    """Folds the log's messages, and cuts what they change into stretches."""

    def __init__(self, memory: Memory, collector: Collector[C], codec: Codec, log_id: str | None) -> None:
        """`log_id`: the hash of the log's first message, or None if that is yet to be folded."""
        self.memory = memory
        self._collector = collector
        self._codec = codec
        self._log_id = log_id
        self.events = 0
        """Folded since the last cut."""

    @property
    def position(self) -> int:
        """How far the fold is."""
        return self.memory.state.position

    def fold(self, messages: Sequence[StoredMessage], most_events: int) -> Sequence[StoredMessage]:
        """Fold messages until so many events wait to be cut; return the others."""
        room = most_events - self.events
        part = messages[:room]
        if not part:
            return messages
        if self._log_id is None:
            self._log_id = self._codec.hash_of(part[0])
        bodies = {message.position: message.body for message in part}
        follow = self._collector.follow
        self.memory.fold(part, seen=lambda recorded: follow(recorded, bodies[recorded.position]), skipped=self._skip)
        self.events += len(part)
        return messages[room:]

    def _skip(self, message: StoredMessage, reason: str) -> None:
        try:
            recorded = self._codec.decode(message)
        except UnreadableEventError:
            recorded = None
        self._collector.skip(message.position, message.subject, message.body, reason, recorded)

    def cut(self) -> Stretch[C]:
        """Return all that was folded since the last time."""
        state, events = self.memory.state, self.events
        self.events = 0
        time = None if state.last_time == EPOCH else state.last_time
        after = Mark(state.position, self.memory.tail_hash, self._log_id, time, self.memory.unreadable_count)
        return Stretch(self._collector.take(), after, events)


class Arrivals:
    """Chunks of the log as they come; a broker that does not answer ends them, and is told of at the very end."""

    def __init__(self, chunks: AsyncGenerator[Sequence[StoredMessage], None]) -> None:
        self._chunks = chunks
        self._next: asyncio.Future[Sequence[StoredMessage] | None] | None = None
        self.ended = False
        self._failure: LogUnavailableError | None = None

    def next(self) -> asyncio.Future[Sequence[StoredMessage] | None]:
        """What is done when the next chunk is there, or none will be."""
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._chunks, None))
        return self._next

    def take(self) -> Sequence[StoredMessage]:
        """Return the next chunk if it is there, else nothing."""
        if self._next is None or not self._next.done():
            return ()
        coming, self._next = self._next, None
        try:
            chunk = coming.result()
        except LogUnavailableError as error:
            chunk, self._failure = None, error
        self.ended = chunk is None
        return chunk or ()

    def raise_failure(self) -> None:
        """Raise LogUnavailableError, LogTruncatedError among them, if that is how it ended."""
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Wait for nothing more."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        await self._chunks.aclose()
