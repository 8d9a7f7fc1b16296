"""Leases that run out together, with others alive: how late a reader knows that each is over."""

from __future__ import annotations

from tests.benchmarks.peers.contenders.contract import LeaseStore
from tests.benchmarks.peers.jobs.latencies import percentiles


class Job:
    """Have the others held, and let some run out."""

    def __init__(self, contender: LeaseStore) -> None:
        self._store = contender

    async def measure(self, *, due: int, alive: int, seconds: float) -> dict[str, float]:
        """Return how late they were. How long it lasts follows from the numbers, not from `seconds`."""
        await self._store.staff(1)
        await self._store.hold(alive)
        return percentiles(await self._store.lapse(due))
