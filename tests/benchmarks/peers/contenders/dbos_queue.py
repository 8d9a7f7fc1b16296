"""DBOS on PostgreSQL: workflows from a polled queue; progress is an event of the workflow, which is recorded as a step.

Run as `python -m tests.benchmarks.peers.contenders.dbos_queue WORKERS`, it is the worker process.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from typing import Any

from dbos import DBOS, DBOSClient

from tests.benchmarks.peers.contenders.contract import PERCENT
from tests.benchmarks.peers.contenders.worker_framework import WorkerFramework, report, server_url

NAME = "peers"
CONNECTIONS = 32
FINISH_S = 5
POLL_S = 0.01
"""DBOS's default is 1 s. A poll claims a task for every free worker; one that becomes free waits for the next poll."""


async def open_contender(address: dict[str, Any]) -> DbosQueue:
    """Make the tables, and connect for submits."""
    await asyncio.to_thread(DBOS.migrate, address["url"])
    return DbosQueue(address)


class DbosQueue(WorkerFramework):
    """A Framework."""

    def __init__(self, address: dict[str, Any]) -> None:
        super().__init__(address)
        self._client = DBOSClient(system_database_url=self.url, application_name=NAME)

    def command(self, workers: int) -> list[str]:
        return ["python", "-m", __name__, str(workers)]

    async def submit(self, task_ids: list[str]) -> None:
        where = {"queue_name": NAME, "workflow_name": "work"}
        await asyncio.gather(*(self._client.enqueue_async(where, each) for each in task_ids))

    async def close(self) -> None:
        await asyncio.to_thread(self._client.destroy)


def work(task_id: str) -> None:
    """What a worker does."""
    DBOS.set_event("percent", PERCENT)
    report(task_id)


def serve(workers: int) -> None:
    """Run so many workers until the process is told to end."""
    DBOS(
        config={
            "name": NAME,
            "system_database_url": server_url(),
            "sys_db_pool_size": CONNECTIONS,
            "log_level": "WARNING",
        }
    )
    DBOS.workflow(name="work")(work)
    register_queue(workers)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        DBOS.launch()
        threading.Event().wait()
    finally:
        # A workflow without a recorded outcome would be recovered, and run again, in the next turn.
        DBOS.destroy(workflow_completion_timeout_sec=FINISH_S)


def register_queue(workers: int) -> None:
    """Set the queue's concurrency, before the launch: it starts polling with the settings that it finds."""
    client = DBOSClient(system_database_url=server_url(), application_name=NAME)
    client.register_queue(NAME, worker_concurrency=workers, polling_interval_sec=POLL_S)
    client.destroy()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
