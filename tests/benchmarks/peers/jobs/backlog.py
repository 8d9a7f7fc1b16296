"""The life of a task with many others waiting."""

from __future__ import annotations

import asyncio
import time

from tests.benchmarks.peers.contenders.contract import LeaseStore

SUBMITTED_AT_ONCE = 10_000


class Job:
    """Claim, report and complete for some seconds, out of a queue that is kept at its length."""

    def __init__(self, contender: LeaseStore) -> None:
        self._store = contender
        self._submitted = 0
        self._done = 0

    async def measure(self, *, waiting: int, workers: int, seconds: float) -> dict[str, float]:
        """Return tasks a second."""
        await self._store.staff(workers)
        while (missing := waiting - (self._submitted - self._done)) > 0:
            count = min(missing, SUBMITTED_AT_ONCE)
            await self._store.submit([f"waiting-{self._submitted + number}" for number in range(count)])
            self._submitted += count
        began = time.perf_counter()

        async def work(worker: int) -> int:
            done = 0
            while time.perf_counter() < began + seconds and (held := await self._store.claim(worker)) is not None:
                await self._store.progress(held)
                await self._store.complete(held)
                done += 1
            return done

        done = sum(await asyncio.gather(*(work(number) for number in range(workers))))
        self._done += done
        return {"per_s": done / (time.perf_counter() - began)}
