"""How many commands a batch takes, and whether it waits a moment for the callers of the last one to come back.

A batch costs the broker about the same whatever its size, so callers that come back a moment too late for one wait for
two. Nobody lingers for a lone caller, nor where deciding takes longer than appending. But a crowd goes in two batches
that take turns: while the broker has one, the callers of the other are answered, come back, and are decided. All in
one, they would wait for each other at each of these steps.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from handlers.writer.batch import MAX_GROUP_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.writer.batch import Group

_PART = 0.5
"""Of the time that the last append took."""
ENOUGH = 256
"""Commands that a batch takes at least, if they are there: with more of them its cost is hardly better shared."""


class Linger:
    """The size of a writer's next batch, and its patience with it."""

    def __init__(self, longest_s: float, over: Callable[[], None]) -> None:
        self._longest_s = longest_s
        self._tell = over
        self.most = ENOUGH
        """Commands that the next batch takes at most."""
        self._expected = 0
        """Jobs that a batch may hope for: as many as were answered last, and those that wait already."""
        self._append_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def holds(self, group: Group) -> bool:
        """Return whether the group should not go yet; `over` is called when it should."""
        patience_s = min(self._longest_s, self._append_s * _PART)
        if self._over or patience_s <= 0 or group.full or len(group.jobs) >= self._expected:
            return False
        if group.deciding_s > patience_s:
            return False
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(patience_s, self._end)
        return True

    def launched(self) -> None:
        """Begin anew: the group is on its way."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._over = None, False

    def landed(self, jobs: int, append_s: float) -> None:
        """Learn from an append: how many jobs were in it or wait already, and how long it took."""
        self._expected = jobs
        self.most = min(MAX_GROUP_COMMANDS, max(ENOUGH, jobs // 2))
        self._append_s = append_s

    def _end(self) -> None:
        # A flag and not a look at the clock: a timer may fire a moment before the time that it was set for.
        self._over = True
        self._tell()
