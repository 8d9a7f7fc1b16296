"""The pytest plugin: a real service, and agents that die, fall silent or lose their lease."""

import asyncio
import resource
from pathlib import Path

import pytest

from custody_client import Held, LeaseLost, SyncWorker, Worker
from custody_client.testing import Custody, NoServiceInstalledError, running_service
from tests.client.conftest import KEPT, eventually

RESULT_S = 60.0


async def test_an_agent_that_dies_loses_its_task_to_the_next_one(custody: Custody) -> None:
    first, second = custody.worker("first"), custody.worker("second")
    began = asyncio.Event()

    @first.task("report")
    async def endless(held: Held[int]) -> None:
        await held.progress(40, checkpoint=4)
        began.set()
        await asyncio.Event().wait()

    @second.task("report")
    async def report(held: Held[int]) -> int | None:
        return held.checkpoint

    async with custody.client() as client, custody.working(first):
        task = await client.submit("report")
        await began.wait()
        await custody.die(first)
        async with custody.working(second):
            assert await task.result(RESULT_S) == 4
        state = await task.state()
        assert state.expiries >= 1
        assert state.releases == 0, "the service was told nothing"


async def test_an_agent_that_is_cut_off_stops_and_comes_back(custody: Custody) -> None:
    worker = custody.worker()
    began, losses = asyncio.Event(), []

    @worker.task("report")
    async def report(held: Held[int]) -> int:
        if held.attempt > 1:
            return held.attempt
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            losses.append(held.lost)
        return 0

    async with custody.client() as client, custody.working(worker):
        task = await client.submit("report")
        await began.wait()
        async with custody.silent(worker):
            await eventually(lambda: bool(losses))
        assert await task.result(RESULT_S) > 1
    assert isinstance(losses[0], LeaseLost)
    assert not losses[0].certain


async def test_a_lease_that_is_taken_away_stops_the_handler(custody: Custody) -> None:
    worker = custody.worker()
    began = asyncio.Event()

    @worker.task("report")
    async def report(held: Held[int]) -> int:
        if held.attempt == 1:
            began.set()
            await asyncio.Event().wait()
        return held.attempt

    async with custody.client() as client, custody.working(worker):
        task = await client.submit("report", lease=KEPT)
        await began.wait()
        await custody.lose(task.task_id)
        assert await task.result(RESULT_S) == 2


OF_THE_APPLICATION = Worker("application")


@OF_THE_APPLICATION.task("report")
async def _report() -> str:
    return "done"


@pytest.mark.parametrize("time", ["first", "second"])
async def test_a_worker_of_the_application_works_in_one_test_after_the_other(custody: Custody, time: str) -> None:
    async with custody.client() as client, custody.working(OF_THE_APPLICATION):
        task = await client.submit("report", time)
        assert await task.result(RESULT_S) == "done"


def test_a_test_without_asyncio_has_an_empty_pool_too(custody: Custody) -> None:
    with custody.sync_client() as client:
        assert client.query("agents")["agents"] == []
        assert client.query("backlog")["tasks"] == []
        task = client.submit("report", lease=KEPT)
        with SyncWorker("w", url=custody.url, pool=custody.pool, capabilities=["report"]) as worker:
            next(iter(worker.tasks())).complete("done")
        assert task.result(RESULT_S) == "done"
        client.submit("left behind")


def test_what_a_test_leaves_is_cleared_away(custody: Custody) -> None:
    with custody.sync_client() as client:
        assert client.query("backlog")["tasks"] == []


def test_a_process_finds_the_service_by_its_environment(custody: Custody) -> None:
    assert custody.environment == {"CUSTODY_NATS": custody.url, "CUSTODY_POOL": "test"}


def test_without_the_service_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoServiceInstalledError), running_service(tmp_path):
        pass


def test_a_service_starts_within_seconds(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with running_service(tmp_path) as service:
        assert service.pool == "test"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The processors' time: it does not grow with what else the machine does.
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used_s < 20, "two seconds, and more where cores are shared"
