"""A worker as its own user of the broker: it may send its commands and hear the answers, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from custody_client import Client, Held, Worker
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import agent_user
from infra.service.serving import PoolServer
from infra.settings.settings import Settings

RESULT_S = 60.0


@pytest.fixture
async def urls(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The address of a served pool, for each user."""
    options = BrokerOptions(sync_interval="2m", extra_users=(agent_user("default", "w1"),))
    async with EmbeddedBroker(tmp_path / "broker", options) as broker:
        server = PoolServer(Settings(pool="default"), broker.url)
        await server.start(broker.auth, sync_interval="2m")
        yield {
            user: broker.url.replace("//", f"//{user}:{broker.credentials(user)['password']}@")
            for user in ("operator", "agent-w1")
        }
        await server.stop()


async def test_it_works_and_hears_of_a_cancel_by_its_beats(urls: dict[str, str]) -> None:
    worker = Worker("w1", url=urls["agent-w1"], drain_s=0.1)
    began, stopped = asyncio.Event(), asyncio.Event()

    @worker.task("endless")
    async def endless(held: Held[int]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    @worker.task("report")
    async def report(held: Held[int]) -> str:
        await held.progress(50, checkpoint=1)
        return "done"

    serving = asyncio.create_task(worker.serve())
    async with Client(urls["operator"]) as client:
        assert await (await client.submit("report")).result(RESULT_S) == "done"
        task = await client.submit("endless")
        await began.wait()
        await task.cancel()
        # Much sooner than a third of its term, when the next beat would be due for the lease's own sake.
        async with asyncio.timeout(20):
            await stopped.wait()
    worker.stop()
    await serving
