"""Custody by its client library: one worker process, which holds as many tasks at once as there are workers.

Run as `python -m tests.benchmarks.peers.contenders.custody_client SLOTS`, it is that process.
"""

from __future__ import annotations

import sys
from typing import Any

from custody_client import Held, Worker
from tests.benchmarks.peers.contenders.custody import Custody, connect
from tests.benchmarks.peers.contenders.worker_framework import WorkerFramework, report, server_url


async def open_contender(address: dict[str, Any]) -> CustodyWorker:
    """Connect for submits."""
    return CustodyWorker(address, Custody(await connect(address), address))


class CustodyWorker(WorkerFramework):
    """A Framework."""

    def __init__(self, address: dict[str, Any], operator: Custody) -> None:
        scheme, _, host = address["url"].partition("://")
        super().__init__(address | {"url": f"{scheme}://{address['user']}:{address['password']}@{host}"})
        self._operator = operator

    def command(self, workers: int) -> list[str]:
        return ["python", "-m", __name__, str(workers)]

    async def submit(self, task_ids: list[str]) -> None:
        await self._operator.submit(task_ids)

    async def close(self) -> None:
        await self._operator.close()


async def work(held: Held[Any]) -> None:
    """What a worker does."""
    await held.progress(45)
    report(held.task_id)


if __name__ == "__main__":
    worker = Worker("worker", url=server_url(), slots=int(sys.argv[1]))
    worker.task()(work)
    worker.run()
