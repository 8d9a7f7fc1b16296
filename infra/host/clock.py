"""The wall clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """The machine's time, in UTC."""

    def now(self) -> datetime:
        """Return the time now, aware, with microseconds."""
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        """Return once `now() >= when`; a change of the system clock is noticed within a minute."""
        while True:
            left_s = (when - self.now()).total_seconds()
            if left_s <= 0:
                return
            await asyncio.sleep(min(left_s, 60.0))
