"""Staging: open batches, whose first messages were sent ahead of the append that commits them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handlers.ports import NewMessage

MAX_ABANDONED = 20
"""Most batches left without a commit. The broker allows 50 open ones per stream, and drops each after ten seconds."""
_EXPIRES_AFTER_S = 15.0


@dataclass(slots=True)
class OpenBatch:
    """A batch whose first messages were sent."""

    messages: Sequence[NewMessage]
    expected_position: int
    batch_id: str
    sent: int = 0
    """How many of the messages were sent."""

    def belongs_to(self, messages: Sequence[NewMessage], expected_position: int) -> bool:
        """Return whether it belongs to an append of this very list at this position."""
        return self.messages is messages and self.expected_position == expected_position


class Staging:
    """The batch that the next append can commit, and the number of open batches that will never be committed."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._batch: OpenBatch | None = None
        self._abandoned_at_s: deque[float] = deque()
        """When batches were abandoned, by the event loop's clock."""

    def batch_for(self, messages: Sequence[NewMessage], expected_position: int) -> OpenBatch | None:
        """Return the open batch for these messages, a new one if necessary; None if too many are open."""
        batch = self.take(messages, expected_position)
        if batch is None and self._abandoned() < MAX_ABANDONED:
            batch = OpenBatch(messages, expected_position, self._new_id())
        self._batch = batch
        return batch

    def take(self, messages: Sequence[NewMessage], expected_position: int) -> OpenBatch | None:
        """Remove and return the open batch of these messages; a batch of other messages is abandoned."""
        batch, self._batch = self._batch, None
        if batch is None or batch.belongs_to(messages, expected_position):
            return batch
        if batch.sent:
            self._abandoned_at_s.append(asyncio.get_running_loop().time())
        return None

    def reset(self) -> None:
        """Forget the open batch: the connection was lost, and with it what was sent."""
        self._batch = None

    def _abandoned(self) -> int:
        since_s = asyncio.get_running_loop().time() - _EXPIRES_AFTER_S
        while self._abandoned_at_s and self._abandoned_at_s[0] < since_s:
            self._abandoned_at_s.popleft()
        return len(self._abandoned_at_s)
