"""Tasks offered at a steady rate to workers that wait for them: how long from the submit to the end of each."""

from __future__ import annotations

import asyncio
import time

from tests.benchmarks.peers.contenders.contract import Framework, LeaseStore
from tests.benchmarks.peers.jobs.latencies import percentiles

WAIT_S = 1.0


class Job:
    """Offer tasks for some seconds."""

    def __init__(self, contender: LeaseStore | Framework) -> None:
        self._contender = contender
        self._turn = 0

    async def measure(self, *, workers: int, per_s: float, seconds: float) -> dict[str, float]:
        """Return the latencies from before a submit to after the completion."""
        if hasattr(self._contender, "offer"):
            return percentiles(await self._contender.offer(workers, per_s, seconds))
        return percentiles(await self._offer(self._contender, workers, per_s, seconds))

    async def _offer(self, store: LeaseStore, workers: int, per_s: float, seconds: float) -> list[float]:
        await store.staff(workers)
        self._turn += 1
        submitted: dict[str, float] = {}
        took: list[float] = []
        offering = True

        async def work(worker: int) -> None:
            while offering or len(took) < len(submitted):
                if (held := await store.claim(worker, WAIT_S)) is not None:
                    await store.progress(held)
                    await store.complete(held)
                    took.append(time.perf_counter() - submitted[held.task_id])

        async def submit(task_id: str) -> None:
            submitted[task_id] = time.perf_counter()
            await store.submit([task_id])

        working = asyncio.gather(*(work(number) for number in range(workers)))
        await asyncio.sleep(WAIT_S / 4)
        began = time.perf_counter()
        submits = []
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
            submits.append(asyncio.ensure_future(submit(f"offered-{self._turn}-{number}")))
        await asyncio.gather(*submits)
        offering = False
        await working
        return took
