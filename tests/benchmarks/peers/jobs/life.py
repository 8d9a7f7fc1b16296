"""The life of a task: workers that claim, report progress and complete, one task after the other, from a full queue."""

from __future__ import annotations

import asyncio
import time

from tests.benchmarks.peers.contenders.contract import Framework, LeaseStore

FIRST_TASKS_EACH = 3
MINIMUM = 30


class Job:
    """Work off a queue that lasts about so many seconds, by the rate of the time before."""

    def __init__(self, contender: LeaseStore | Framework) -> None:
        self._contender = contender
        self._per_s: dict[int, float] = {}
        self._submitted = 0

    async def measure(self, *, workers: int, seconds: float) -> dict[str, float]:
        """Return tasks a second."""
        if workers not in self._per_s:
            self._per_s[workers] = await self._run(workers, max(MINIMUM, FIRST_TASKS_EACH * workers))
        self._per_s[workers] = await self._run(workers, max(MINIMUM, int(self._per_s[workers] * seconds)))
        return {"per_s": self._per_s[workers]}

    async def _run(self, workers: int, tasks: int) -> float:
        if hasattr(self._contender, "work"):
            return (tasks - 1) / await self._contender.work(workers, tasks)
        store = self._contender
        await store.staff(workers)
        await store.submit([f"t{self._submitted + number}" for number in range(tasks)])
        self._submitted += tasks
        began = time.perf_counter()
        done = sum(await asyncio.gather(*(work(store, number) for number in range(workers))))
        return done / (time.perf_counter() - began)


async def work(store: LeaseStore, worker: int) -> int:
    """Work until nothing is left; return how many tasks were done."""
    done = 0
    while (held := await store.claim(worker)) is not None:
        await store.progress(held)
        await store.complete(held)
        done += 1
    return done
