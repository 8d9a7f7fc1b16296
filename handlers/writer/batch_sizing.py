"""How many commands a batch takes, and whether it waits briefly for the callers of the previous batch to return.

A batch costs the broker about the same whatever its size, so a caller that just misses a batch waits for two appends.
A batch does not wait for a lone caller, nor where deciding takes longer than appending. A large crowd is split into
two batches that alternate: while the broker stores one, the callers of the other are answered, return and are decided.
In a single batch all of them would wait for each other at each of these steps.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from handlers.writer.batch import MAX_BATCH_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.writer.batch import Batch

_WAIT_FRACTION = 0.5
"""The longest wait, as a fraction of the time that the previous append took."""
MIN_LIMIT = 256
"""Commands that every batch may take, the least value of its limit: beyond this a command hardly gets cheaper."""


class BatchSizing:
    """The size limit of the writer's next batch, and how long it may wait to be sent."""

    def __init__(self, longest_wait_s: float, on_wait_over: Callable[[], None]) -> None:
        self._longest_wait_s = longest_wait_s
        self._on_wait_over = on_wait_over
        self.max_commands = MIN_LIMIT
        """Commands that the next batch takes at most."""
        self.expected = 0
        """Jobs that the next batch may expect: those answered last, and those that are queued already."""
        self._append_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._wait_over = False

    def should_wait(self, batch: Batch) -> bool:
        """Return whether the batch should not be sent yet; `on_wait_over` is called when it should."""
        wait_s = min(self._longest_wait_s, self._append_s * _WAIT_FRACTION)
        if self._wait_over or wait_s <= 0 or batch.full or len(batch.jobs) >= self.expected:
            return False
        if batch.deciding_s > wait_s:
            return False
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._end_wait)
        return True

    def sent(self) -> None:
        """Start afresh: the batch was sent."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wait_over = None, False

    def stored(self, jobs: int, append_s: float) -> None:
        """Learn from an append: the number of jobs in it and queued, and how long it took."""
        self.expected = jobs
        self.max_commands = min(MAX_BATCH_COMMANDS, max(MIN_LIMIT, jobs // 2))
        self._append_s = append_s

    def _end_wait(self) -> None:
        # A flag instead of comparing times: a timer may fire slightly before the time that it was set for.
        self._wait_over = True
        self._on_wait_over()
