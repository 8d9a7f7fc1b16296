"""A clock that moves only when the test says so: never a real sleep, and the same order of events every time.

`advance` lets everything that can run come to rest, jumps to the next sleeper, wakes it, and so on until the time is
up. No sleeper ever wakes late, unless the test asks for that with `stall`.
"""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from typing import Any

from handlers.ports import Steady

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
RESTLESS_TURNS = 200_000
"""Turns of the loop without a rest after which a task is taken to spin."""


class VirtualClock:
    """The `Clock` port, for a test to drive. Its wall clock can be set, its steady one cannot."""

    def __init__(self) -> None:
        self._steady = START
        self._set_by = timedelta(0)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._serial = 0
        self.jumps = 0
        """How often time moved on to a sleeper's moment."""

    def now(self) -> datetime:
        return self._steady + self._set_by

    def steady(self) -> Steady:
        return Steady(self._steady)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        self._serial += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        when = self._steady + max(timedelta(seconds=seconds), timedelta(microseconds=1))
        heapq.heappush(self._sleepers, (when, self._serial, woken))
        await woken

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return (self._steady - START).total_seconds()

    def next_wake(self) -> datetime | None:
        """Return the next sleeper's moment, or None if there is none."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def rest(self) -> None:
        """Return once everything waits for time, or for the test."""
        loop: Any = asyncio.get_running_loop()
        for _ in range(RESTLESS_TURNS):
            await asyncio.sleep(0)
            if not loop._ready:  # noqa: SLF001 - asyncio does not say otherwise whether anything can run
                return
        msg = "the loop does not come to rest: something spins"
        raise AssertionError(msg)

    async def step(self, until: datetime) -> bool:
        """Move to the next sleeper's moment, if that is not after `until`; return whether there was one."""
        await self.rest()
        moment = self.next_wake()
        if moment is None or moment > until:
            return False
        self._steady = max(self._steady, moment)
        self.jumps += 1
        self._wake()
        await self.rest()
        return True

    async def advance(self, seconds: float) -> None:
        """Let time pass, everything in its order."""
        until = self._steady + timedelta(seconds=seconds)
        while await self.step(until):
            pass
        self._steady = until

    async def finish(self, work: asyncio.Future[Any]) -> None:
        """Let time pass until the work is done; raises what it raises."""
        while not work.done():
            # What a server does takes real time, for which this clock stands still.
            await asyncio.wait({work}, timeout=0.02)
            if not work.done():
                await self.advance(1)
        work.result()

    def set_back(self, seconds: float) -> None:
        """Set the wall clock back, as a wrong one that is corrected; negative: set it ahead."""
        self._set_by -= timedelta(seconds=seconds)

    async def stall(self, seconds: float) -> None:
        """Let the process stand still: time passes, and then every sleeper that is due wakes at once, late."""
        await self.rest()
        self._steady += timedelta(seconds=seconds)
        self._wake()
        await self.rest()

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: both clocks go on, and the timers of those who sleep do not."""
        length = timedelta(seconds=seconds)
        self._steady += length
        self._sleepers = [(when + length, serial, woken) for when, serial, woken in self._sleepers]

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._steady:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
