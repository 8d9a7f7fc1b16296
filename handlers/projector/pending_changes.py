"""Changes that are folded and not written yet. They grow while the batch before them is being written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple

from domain.timestamps import EPOCH
from handlers.ports import UnreadableEventError
from handlers.projector.read_model import C, Watermark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.memory.memory import Memory
    from handlers.ports import Codec, StoredMessage
    from handlers.projector.read_model import Projection


class WriteBatch(NamedTuple, Generic[C]):
    """The changes of consecutive events, for one write."""

    changes: C
    after: Watermark
    """The read model's watermark once they are written."""
    events: int


class PendingChanges(Generic[C]):
    """Folds the log's messages, and gives the changes out in batches."""

    def __init__(self, memory: Memory, projection: Projection[C], codec: Codec, log_id: str | None) -> None:
        """`log_id`: the hash of the log's first message; None if that message is still to be folded."""
        self.memory = memory
        self._projection = projection
        self._codec = codec
        self._log_id = log_id
        self.events = 0
        """Folded since the last batch."""

    @property
    def position(self) -> int:
        """The position up to which the log is folded."""
        return self.memory.state.position

    def fold(self, messages: Sequence[StoredMessage], max_events: int) -> Sequence[StoredMessage]:
        """Fold messages until `max_events` are pending; return the messages that are left."""
        room = max_events - self.events
        part = messages[:room]
        if not part:
            return messages
        if self._log_id is None:
            self._log_id = self._codec.hash_of(part[0])
        bodies = {message.position: message.body for message in part}
        apply = self._projection.apply
        self.memory.fold(part, seen=lambda recorded: apply(recorded, bodies[recorded.position]), skipped=self._skip)
        self.events += len(part)
        return messages[room:]

    def _skip(self, message: StoredMessage, reason: str) -> None:
        try:
            recorded = self._codec.decode(message)
        except UnreadableEventError:
            recorded = None
        self._projection.skip(message.position, message.subject, message.body, reason, recorded)

    def take_batch(self) -> WriteBatch[C]:
        """Return everything that was folded since the last batch."""
        state, events = self.memory.state, self.events
        self.events = 0
        time = None if state.last_time == EPOCH else state.last_time
        after = Watermark(state.position, self.memory.tail_hash, self._log_id, time, self.memory.unreadable_count)
        return WriteBatch(self._projection.take_changes(), after, events)
