"""The writer's watchdog: times out callers and reads; notices a process that stood still and a clock that was set."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, Steady

_LOG = logging.getLogger(__name__)
LONGEST_PAUSE_S = 1.0
"""The longest time between two looks."""
STALL_S = 2.0
"""Waking up this much late means that the process stood still, and heard no agent meanwhile."""
SET_S = 1.0
"""A wall clock that moves by this much more or less than the steady one between two looks was set."""
BEHIND_S = 5.0
"""A clock that is this far behind the log's last event was set back, or that event was written by a wrong one."""


class Watched(Protocol):
    """What the watchdog notifies: the writer."""

    def looked(self, now: Steady) -> None:
        """The process runs; called at each look, after what the look found."""
        ...

    def end_timed_out(self, now: Steady) -> None:
        """Answer whatever has waited for too long."""
        ...

    def stood_still(self, seconds: float) -> None:
        """The process did not run for so long."""
        ...

    def clock_changed(self) -> None:
        """The wall clock was set."""
        ...


class Watchdog:
    """Runs beside the writer; `reply_timeout_s` decides how often it has to look."""

    def __init__(self, watched: Watched, memory: Memory, clock: Clock, reply_timeout_s: float) -> None:
        self._watched = watched
        self._memory = memory
        self._clock = clock
        self._pause_s = min(reply_timeout_s / 4, LONGEST_PAUSE_S)
        self._behind = False

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            now, wall = self._clock.steady(), self._clock.now()
            self._watched.looked(now)
            self._watched.end_timed_out(now)
            self._compare_clock()
            await self._clock.sleep(self._pause_s)
            passed_s = seconds_between(now, self._clock.steady())
            late_s = passed_s - self._pause_s
            if late_s > STALL_S:
                _LOG.warning("the service stood still for %.1f s", late_s)
                self._watched.stood_still(late_s)
            set_by_s = seconds_between(wall, self._clock.now()) - passed_s
            if abs(set_by_s) > SET_S:
                _LOG.warning("the wall clock was set by %+.1f s", set_by_s)
                self._watched.clock_changed()

    def _compare_clock(self) -> None:
        """Warn once when the clock is behind the log: the pool's time goes slowly until it has caught up."""
        behind_s = seconds_between(self._clock.now(), self._memory.state.last_time)
        was_behind, self._behind = self._behind, behind_s > BEHIND_S
        if self._behind and not was_behind:
            _LOG.warning(
                "this clock is %.0f s behind the log's last event; leases last longer until it has caught up",
                behind_s,
            )
