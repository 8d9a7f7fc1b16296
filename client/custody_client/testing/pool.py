"""What a test does with a running service: workers and clients, and ways in which an agent fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from custody_client.address import Address
from custody_client.client import Client
from custody_client.errors import AddressError, CustodyError
from custody_client.sync_client import SyncClient
from custody_client.testing.service import RunningService
from custody_client.worker import Worker

DRAIN_S, HAND_OVER_S = 0.2, 2.0
"""A test's worker ends soon."""
LIVE = ("queued", "assigned", "in_progress", "stuck", "unheld", "blocked", "quarantined")


class _Gate:
    """Says where the broker is, unless it is closed."""

    def __init__(self, find: Callable[[], Address]) -> None:
        self._find = find
        self.open = True

    def __call__(self) -> Address:
        if not self.open:
            raise AddressError("the test has made this worker silent")
        return self._find()


class Custody:
    """A pool for one test. What is left in it is cleared away afterwards."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.url = service.url
        self.pool = service.pool
        self.environment = service.environment
        """For processes that the test starts: where the service is."""
        self._gates: dict[Worker, _Gate] = {}

    def client(self) -> Client:
        """Return a client: `async with custody.client() as client`."""
        return Client(self.url, pool=self.pool)

    def sync_client(self) -> SyncClient:
        """Return a client for a test without asyncio."""
        return SyncClient(self.url, pool=self.pool)

    def worker(self, name: str = "worker", **options: Any) -> Worker:
        """Return a new worker of the pool, which drains quickly; `options` are those of `Worker`."""
        return self.adopt(
            Worker(
                name, **{"url": self.url, "pool": self.pool, "drain_s": DRAIN_S, "hand_over_s": HAND_OVER_S, **options}
            )
        )

    def adopt(self, worker: Worker) -> Worker:
        """Have a worker of the application in this pool, and return it."""
        gate = _Gate(lambda: Address((self.url,)))
        self._gates[worker] = gate
        worker.connect_by(gate, pool=self.pool)
        return worker

    @asynccontextmanager
    async def working(self, worker: Worker) -> AsyncIterator[Worker]:
        """Have a worker with handlers at work; it drains at the end, unless it died."""
        if worker not in self._gates:
            self.adopt(worker)
        serving = asyncio.create_task(worker.serve())
        await asyncio.sleep(0)  # it begins, and from then on it can be stopped
        try:
            yield worker
        finally:
            if not worker.ending:
                worker.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await serving

    async def die(self, worker: Worker) -> None:
        """End a worker as `kill -9` would: its handlers stop where they are, and the service is told nothing."""
        await worker.abandon()

    @asynccontextmanager
    async def silent(self, worker: Worker) -> AsyncIterator[None]:
        """Cut a worker off within: its handlers go on, and nothing gets from it to the service or back."""
        gate = self._gates[worker]
        gate.open = False
        worker.drop_connections()
        try:
            yield
        finally:
            gate.open = True

    async def lose(self, task_id: str) -> None:
        """Take a held task from its holder, as an operator would: it is queued again."""
        async with self.client() as client:
            await client.act("revoke", task_id=task_id, reason="the test wants it so")

    def clear(self) -> None:
        """Cancel what has not ended, and take all agents out of the pool."""
        with self.sync_client() as client:
            for status in LIVE:
                while client.act("cancel", status=status)["more"]:
                    continue
            for agent in client.query("agents", limit=1000)["agents"]:
                with contextlib.suppress(CustodyError):
                    client.act("deregister", agent_id=agent["agent_id"])
