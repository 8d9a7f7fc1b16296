"""Procrastinate on PostgreSQL: jobs in a table, workers woken by notifications; there is no report of progress."""

from __future__ import annotations

from typing import Any

from procrastinate import App, PsycopgConnector

from tests.benchmarks.peers.contenders.worker_framework import WorkerFramework, report, server_url

CONNECTIONS = 32


def make_app(url: str, connections: int) -> Any:
    """Return the application on this server."""
    made = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=connections))
    made.task(work, name="work")
    return made


async def work(task_id: str) -> None:
    """What a worker does."""
    report(task_id)


app = make_app(server_url(), CONNECTIONS)


async def open_contender(address: dict[str, Any]) -> Procrastinate:
    """Connect, and make the tables."""
    contender = Procrastinate(address)
    await contender.app.open_async()
    await contender.app.schema_manager.apply_schema_async()
    return contender


class Procrastinate(WorkerFramework):
    """A Framework."""

    def __init__(self, address: dict[str, Any]) -> None:
        super().__init__(address)
        self.app = make_app(self.url, 4)

    def command(self, workers: int) -> list[str]:
        return ["procrastinate", "--app", f"{__name__}.app", "worker", "--concurrency", str(workers)]

    async def submit(self, task_ids: list[str]) -> None:
        task = self.app.configure_task("work")
        await task.batch_defer_async(*({"task_id": each} for each in task_ids))

    async def close(self) -> None:
        await self.app.close_async()
