"""The machine's clocks."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

from handlers.ports import Steady


class SystemClock:
    """The wall clock in UTC, and a steady one beside it that cannot be set."""

    def __init__(self) -> None:
        self._started_at = self.now()
        self._started_s = _running_s()

    def now(self) -> datetime:
        """Return the time now, aware, with microseconds."""
        return datetime.now(UTC)

    def steady(self) -> Steady:
        """Return the time now, counted from the wall clock at construction and never set since."""
        return Steady(self._started_at + timedelta(seconds=_running_s() - self._started_s))

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of the steady clock, later if the machine is suspended meanwhile."""
        await asyncio.sleep(seconds)


if sys.platform == "linux":

    def _running_s() -> float:
        """Return the seconds of a clock that is never set, those included for which the machine was suspended.

        The monotonic clock leaves them out, so that a suspended service would not know that it heard no agent.
        """
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:
    _running_s = time.monotonic
