"""Renewals: callers that each renew one lease after another, over 500 that are held."""

from __future__ import annotations

import asyncio
import time

from tests.benchmarks.peers.contenders.contract import LeaseStore
from tests.benchmarks.peers.jobs.latencies import percentiles

LEASES = 500
WARM_UP_S = 0.3


class Job:
    """Renew for some seconds."""

    def __init__(self, contender: LeaseStore) -> None:
        self._store = contender
        self._held = False
        self._warm: set[int] = set()

    async def measure(self, *, callers: int, seconds: float) -> dict[str, float]:
        """Return renewals a second and their latencies."""
        await self._store.staff(callers)
        if not self._held:
            await self._store.hold(LEASES)
            self._held = True
        if callers not in self._warm:
            await self._drive(callers, WARM_UP_S)
            self._warm.add(callers)
        began = time.perf_counter()
        latencies = await self._drive(callers, seconds)
        return {"per_s": len(latencies) / (time.perf_counter() - began), **percentiles(latencies)}

    async def _drive(self, callers: int, seconds: float) -> list[float]:
        """Return what each renewal took; every caller makes one, however little time is left."""
        latencies: list[float] = []
        end = time.perf_counter() + seconds

        async def call(number: int) -> None:
            started = time.perf_counter()
            while True:
                await self._store.renew(number)
                now = time.perf_counter()
                latencies.append(now - started)
                if now >= end:
                    return
                started = now
                number += callers

        await asyncio.gather(*(call(number) for number in range(callers)))
        return latencies
