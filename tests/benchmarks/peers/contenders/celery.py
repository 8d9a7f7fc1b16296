"""Celery on Redis or RabbitMQ: tasks are acknowledged late, progress is a state in the result backend."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import Celery

from tests.benchmarks.peers.contenders.worker_framework import WorkerFramework, report, server_url

SUBMITTING_THREADS = 4


def make_app(url: str) -> Any:
    """Return the application on this server."""
    on_redis = url.startswith("redis")
    made = Celery("peers", broker=url, backend=url if on_redis else "rpc://")
    made.conf.update(
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        task_serializer="json",
        worker_hijack_root_logger=False,
        broker_transport_options={} if on_redis else {"confirm_publish": True},
        broker_connection_retry_on_startup=True,
    )
    return made


def work(task: Any, task_id: str) -> None:
    """What a worker does."""
    task.update_state(state="PROGRESS", meta={"percent": 45})
    report(task_id)


app = make_app(server_url())
app.task(work, name="work", bind=True)


async def open_contender(address: dict[str, Any]) -> CeleryWorkers:
    """Make the application for submits."""
    return CeleryWorkers(address)


class CeleryWorkers(WorkerFramework):
    """A Framework."""

    def __init__(self, address: dict[str, Any]) -> None:
        super().__init__(address)
        self._app = make_app(self.url)
        self._threads = ThreadPoolExecutor(SUBMITTING_THREADS)

    def command(self, workers: int) -> list[str]:
        pool = ("--pool", "threads", "--concurrency", str(workers))
        quiet = ("--without-gossip", "--without-mingle", "--loglevel", "WARNING")
        return ["celery", "--app", f"{__name__}:app", "worker", *pool, *quiet]

    async def submit(self, task_ids: list[str]) -> None:
        def send() -> None:
            for each in task_ids:
                self._app.send_task("work", args=[each])

        await asyncio.get_running_loop().run_in_executor(self._threads, send)

    async def close(self) -> None:
        self._threads.shutdown()
        self._app.close()
