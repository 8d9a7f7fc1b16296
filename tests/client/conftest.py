"""A pool that is served on the session's broker, and workers and clients of the library in it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from custody_client import Client, Worker
from infra.broker.embedded import EmbeddedBroker
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.client.fleet import Fleet, Up
from tests.client.polling import PATIENCE_S, eventually
from tests.support.broker import Connect
from tests.system.caller import Caller
from tests.system.processes import Service

__all__ = ["eventually"]

SHORT = {"mode": "fixed", "lease_s": 1.0, "grace_s": 0.4}
"""A lease that is lost soon after its holder falls silent."""
KEPT = {"mode": "fixed", "lease_s": 1.0, "grace_s": 20.0}
"""A lease with as many beats that is not lost, though the machine stands still for a while."""


class Place(NamedTuple):
    """A served pool."""

    url: str
    pool: str
    ask: Caller
    """A bare client with the operator's rights."""

    def worker(self, name: str = "w1", **options: Any) -> Worker:
        """A worker in the pool that ends quickly."""
        return Worker(name, **{"url": self.url, "pool": self.pool, "drain_s": 0.2, "hand_over_s": 2.0, **options})

    @asynccontextmanager
    async def working(self, worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
        """The worker at work; it drains at the end."""
        serving = asyncio.create_task(worker.serve())
        try:
            yield serving
        finally:
            if not worker.ending:
                worker.stop()
            async with asyncio.timeout(PATIENCE_S):
                await serving

    async def until(self, task_id: str, wanted: Callable[[dict[str, Any]], bool] | str) -> dict[str, Any]:
        """Look at a task until it is as wanted, or in the status that is named."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                task: dict[str, Any] = await self.ask.task(task_id)
                if task["status"] == wanted if isinstance(wanted, str) else wanted(task):
                    return task
                await asyncio.sleep(0.01)


@pytest.fixture
async def place(broker: EmbeddedBroker, connect: Connect, pool: str) -> AsyncIterator[Place]:
    server = PoolServer(Settings(pool=pool), broker.url)
    await server.start(broker.auth, sync_interval="2m")
    password = broker.credentials("operator")["password"]
    url = broker.url.replace("//", f"//operator:{password}@")
    yield Place(url, pool, Caller(await connect(), pool))
    await server.stop()


@pytest.fixture
async def client(place: Place) -> AsyncIterator[Client]:
    async with Client(place.url, pool=place.pool) as client:
        yield client


@pytest.fixture
async def fleet(place: Place, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Workers at a service that lives."""
    made = Fleet(tmp_path, {"CUSTODY_NATS": place.url, "CUSTODY_POOL": place.pool}, {"servers": place.url})
    yield made
    await made.end()


@pytest.fixture
async def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Up]:
    data = tmp_path / "data"
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(data))
    monkeypatch.delenv("CUSTODY_NATS", raising=False)
    async with Service("up", tmp_path, broker_sync_interval="2m") as service:
        await service.ready()
        made = Fleet(tmp_path, {"CUSTODY_DATA_DIR": str(data)}, {})
        async with Client() as opened:
            yield Up(made, service, opened, data)
        await made.end()
