"""The machine's clocks."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from handlers.ports import Steady


class SystemClock:
    """The wall clock in UTC, and a steady one beside it that cannot be set."""

    def __init__(self) -> None:
        self._started_at = self.now()
        self._started_s = time.monotonic()

    def now(self) -> datetime:
        """Return the time now, aware, with microseconds."""
        return datetime.now(UTC)

    def steady(self) -> Steady:
        """Return the time now, counted from the wall clock at construction and never set since."""
        return Steady(self._started_at + timedelta(seconds=time.monotonic() - self._started_s))

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of the steady clock."""
        await asyncio.sleep(seconds)
