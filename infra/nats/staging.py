"""The next append, part of which the broker has set aside: a batch that lacks its commit."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handlers.ports import NewMessage

MOST_LEFT_OPEN = 20
"""Batches without a commit. The broker takes 50 of a stream and refuses others; it forgets one after ten seconds."""
_FORGOTTEN_AFTER_S = 15.0


@dataclass(slots=True)
class OpenBatch:
    """A batch whose first messages were sent."""

    messages: Sequence[NewMessage]
    expected_position: int
    batch_id: str
    sent: int = 0
    """How many of the messages were."""

    def is_of(self, messages: Sequence[NewMessage], expected_position: int) -> bool:
        """Return whether an append of this very list at this position would end it."""
        return self.messages is messages and self.expected_position == expected_position


class Staging:
    """The batch that the next append may end, and a count of those that none ever will."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._batch: OpenBatch | None = None
        self._left_open_s: deque[float] = deque()
        """When batches were left open, by the event loop's clock."""

    def batch_for(self, messages: Sequence[NewMessage], expected_position: int) -> OpenBatch | None:
        """Return the batch to send these messages in ahead, a new one if need be; None if too many are open."""
        batch = self.take(messages, expected_position)
        if batch is None and self._left_open() < MOST_LEFT_OPEN:
            batch = OpenBatch(messages, expected_position, self._new_id())
        self._batch = batch
        return batch

    def take(self, messages: Sequence[NewMessage], expected_position: int) -> OpenBatch | None:
        """Take the batch out that an append of these messages ends; another one is left open."""
        batch, self._batch = self._batch, None
        if batch is None or batch.is_of(messages, expected_position):
            return batch
        if batch.sent:
            self._left_open_s.append(asyncio.get_running_loop().time())
        return None

    def forget(self) -> None:
        """The connection is gone, and with it what was sent."""
        self._batch = None

    def _left_open(self) -> int:
        since_s = asyncio.get_running_loop().time() - _FORGOTTEN_AFTER_S
        while self._left_open_s and self._left_open_s[0] < since_s:
            self._left_open_s.popleft()
        return len(self._left_open_s)
