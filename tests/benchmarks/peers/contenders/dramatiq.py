"""Dramatiq on Redis: tasks are acknowledged when they are done; there is no report of progress."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dramatiq import Actor, Message
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.peers.contenders.worker_framework import WorkerFramework, report, server_url

SUBMITTING_THREADS = 4
PROCESSES = 2


def work(task_id: str) -> None:
    """What a worker does."""
    report(task_id)


broker: Any = RedisBroker(url=server_url() or "redis://127.0.0.1")
Actor(work, broker=broker, actor_name="work", queue_name="default", priority=0, options={"max_retries": 3})


async def open_contender(address: dict[str, Any]) -> DramatiqOnRedis:
    """Make the broker for submits."""
    return DramatiqOnRedis(address)


class DramatiqOnRedis(WorkerFramework):
    """A Framework."""

    def __init__(self, address: dict[str, Any]) -> None:
        super().__init__(address)
        self._broker = RedisBroker(url=self.url)
        self._broker.declare_queue("default")
        self._threads = ThreadPoolExecutor(SUBMITTING_THREADS)

    def command(self, workers: int) -> list[str]:
        processes = min(PROCESSES, workers)
        return ["dramatiq", f"{__name__}:broker", "-p", str(processes), "-t", str(workers // processes)]

    async def submit(self, task_ids: list[str]) -> None:
        def send() -> None:
            for each in task_ids:
                message = Message(queue_name="default", actor_name="work", args=(each,), kwargs={}, options={})
                self._broker.enqueue(message)

        await asyncio.get_running_loop().run_in_executor(self._threads, send)

    async def close(self) -> None:
        self._threads.shutdown()
        self._broker.close()
