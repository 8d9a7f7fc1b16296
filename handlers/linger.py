"""Whether a batch waits a moment for the callers of the last one to come back.

A batch costs the broker about the same whatever its size, so callers that come back a moment too late for one wait for
two. Nobody lingers for a lone caller, nor where deciding takes longer than appending.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.groups import Group

_PART = 0.5
"""Of the time that the last append took."""


class Linger:
    """The patience of a writer with the next batch."""

    def __init__(self, longest_s: float, over: Callable[[], None]) -> None:
        self._longest_s = longest_s
        self._tell = over
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
        """Learn from an append: how many jobs the next may hope for, and how long it took."""
        self._expected = jobs
        self._append_s = append_s

    def _end(self) -> None:
        # A flag and not a look at the clock: a timer may fire a moment before the time that it was set for.
        self._over = True
        self._tell()
