"""Leases that run out together, with others alive: how late a reader knows that each is over."""

from __future__ import annotations

import asyncio
import time

from tests.benchmarks.peers.contenders.contract import LeaseStore
from tests.benchmarks.peers.jobs.latencies import percentiles

WORKERS = 8


class Job:
    """Have the others held, and let some run out."""

    def __init__(self, contender: LeaseStore) -> None:
        self._store = contender
        self._renewals: list[tuple[float, float]] = []
        """When each of the others' renewals was sent, in seconds since the epoch, and how long it took."""
        self._over = False

    async def measure(self, *, due: int, alive: int, seconds: float, renewals_per_s: int = 0) -> dict[str, float]:
        """Return how late they were. How long it lasts follows from the numbers, not from `seconds`.

        `renewals_per_s`: of the others meanwhile, at a steady rate; with them the figures have `others_max_ms`, how
        long the slowest took that was sent between the first lease's end and when the last one was known.
        """
        self._over = False
        await self._store.staff(WORKERS if renewals_per_s else 1)
        await self._store.hold(alive)
        others = asyncio.create_task(self._renew(renewals_per_s)) if renewals_per_s else None
        lapsed = await self._store.lapse(due)
        figures = percentiles([each.known_at - each.due_at for each in lapsed])
        if others is not None:
            self._over = True
            await others
            begin, end = min(each.due_at for each in lapsed), max(each.known_at for each in lapsed)
            figures["others_max_ms"] = max(took_s for at, took_s in self._renewals if begin <= at <= end) * 1e3
        return figures

    async def _renew(self, per_s: int) -> None:
        """Renew others at this rate, whether they are answered or not, until it is over and all are answered."""
        began, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while not self._over:
                await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
                group.create_task(self._renew_one(number))
                number += 1

    async def _renew_one(self, number: int) -> None:
        sent_at, began = time.time(), time.perf_counter()
        await self._store.renew(number)
        self._renewals.append((sent_at, time.perf_counter() - began))
