"""The pool's time: what is written into the log, and what leases and deadlines are compared with.

It is the wall clock's, but never goes back, for times in a log never do. If the wall clock was ahead and is set right,
the pool's time goes on at half speed until the wall clock has caught up: leases last up to twice as long, and nothing
waits for an hour because a clock was an hour ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from handlers.ports import Clock

CATCH_UP_SPEED = 0.5
"""Seconds of the pool's time in a second of the steady clock, while the wall clock is behind."""


class PoolClock:
    """One pool's time over the machine's clocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given = clock.now()
        """The pool's time when the wall clock or the log had it last. From there it goes on, slowed."""
        self._given_at = clock.steady()

    def now(self, last_time: datetime) -> datetime:
        """Return the pool's time: at least `last_time`, that of the log's last event."""
        steady = self._clock.steady()
        slowed = after(self._given, seconds_between(self._given_at, steady) * CATCH_UP_SPEED)
        now = max(self._clock.now(), last_time)
        if now < slowed:
            return slowed
        self._given, self._given_at = now, steady
        return now
