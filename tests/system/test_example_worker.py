"""The example workers, in Python and JavaScript, through deaths and restarts of all parts, as real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from tests.support.checkout import ROOT
from tests.support.node import node
from tests.support.until import until
from tests.system.caller import Caller
from tests.system.processes import Service, access, client, operator, serve
from tests.system.streams import read_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.system

POOL = "default"
TASK: dict[str, Any] = {"required_capabilities": ["example"], "payload": {"steps": 60, "step_s": 0.05}}
ENDLESS: dict[str, Any] = {**TASK, "payload": {"steps": 1_000, "step_s": 0.05}}
"""It is not over, however late the test comes to what it does meanwhile."""
PATIENCE_S = 45.0
"""A request that a restart swallowed is asked again after 10 s."""


Example = list[str | Path]
"""A worker's command, less its name."""


@pytest.fixture(params=["python", "javascript"])
def example(request: pytest.FixtureRequest) -> Example:
    if request.param == "python":
        return [sys.executable, ROOT / "examples" / "agent.py"]
    place = ROOT / "examples" / "javascript"
    return [node(place), place / "worker.js"]


@asynccontextmanager
async def worker(example: Example, directory: Path, **environment: str) -> AsyncIterator[Process]:
    """A worker. Unless the test killed it, it must still be there at the end, and leave when it is asked to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    process = await asyncio.create_subprocess_exec(
        *example, "alice", cwd=directory, env={**kept, **environment}, stdout=PIPE, stderr=DEVNULL
    )
    try:
        yield process
        if process.returncode != -signal.SIGKILL:
            assert process.returncode is None
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def says(process: Process, words: str) -> str:
    """Read what the worker says until it says these words."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while line := (await process.stdout.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"the worker never said {words!r}")


@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_it_lives_through_a_restart_of_custody_up(example: Example, tmp_path: Path, end: str) -> None:
    data = tmp_path / "data"
    async with Service("up", tmp_path, broker_sync_interval="2m") as service:
        await service.ready()
        before = access(data)
        async with worker(example, tmp_path, CUSTODY_DATA_DIR=str(data)) as alice, client(**before) as nc:
            await Caller(nc, POOL).done("ops.submit", task_id="T1", **TASK)
            await says(alice, "began T1, attempt 1")
            if end == "killed":
                await service.kill()
            else:
                assert await service.stop() == 0
            await service.start()
            await service.ready()
            assert access(data) == before, "the same port and passwords"
            await says(alice, "completed T1")
            found = await Caller(nc, POOL).done("query.task", task_id="T1")
            assert (found["status"], found["attempts_used"]) == ("completed", 1)
            await Caller(nc, POOL).done("ops.submit", task_id="T2", **TASK)
            await says(alice, "completed T2")


async def test_it_lives_through_restarts_of_the_service_and_of_the_broker(example: Example, tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as broker:
        url = broker.url.replace("//", f"//operator:{broker.credentials('operator')['password']}@")
        async with (
            serve(broker, tmp_path) as service,
            operator(broker) as nc,
        ):
            await service.ready()
            ask = Caller(nc, POOL)
            async with worker(example, tmp_path, CUSTODY_NATS=url) as alice:
                await ask.done("ops.submit", task_id="T1", **TASK)
                await says(alice, "began T1, attempt 1")
                await service.kill()
                await service.start()
                await service.ready()
                await says(alice, "completed T1")
                await ask.done("ops.submit", task_id="T2", **TASK)
                await says(alice, "began T2, attempt 1")
                await broker.kill()
                await broker.start()
                await says(alice, "completed T2")
                assert (await ask.done("query.task", task_id="T2"))["attempts_used"] == 1


@asynccontextmanager
async def pool(directory: Path) -> AsyncIterator[tuple[Caller, str]]:
    """A served pool: an operator's caller, and the workers' `CUSTODY_NATS`."""
    async with EmbeddedBroker(directory / "broker", BrokerOptions(sync_interval="2m")) as broker:
        url = broker.url.replace("//", f"//operator:{broker.credentials('operator')['password']}@")
        async with serve(broker, directory) as service, operator(broker) as nc:
            await service.ready()
            yield Caller(nc, POOL), url


async def beyond(ask: Caller, task_id: str, step: int) -> None:
    """Wait until the holder of a task has reported a later step."""

    async def reported() -> bool:
        lease = (await ask.task(task_id))["lease"]
        return bool(lease and (lease["checkpoint"] or {}).get("done", 0) > step)

    await until(f"a step after {step}", reported, lambda: None)


async def test_the_next_life_goes_on_at_the_checkpoint_of_one_that_was_killed(example: Example, tmp_path: Path) -> None:
    async with pool(tmp_path) as (ask, url):
        async with worker(example, tmp_path, CUSTODY_NATS=url) as alice:
            await ask.done("ops.submit", task_id="T1", **ENDLESS)
            await says(alice, "began T1, attempt 1")
            await beyond(ask, "T1", 0)
            alice.kill()
            await alice.wait()
        async with worker(example, tmp_path, CUSTODY_NATS=url) as alice:
            step = int((await says(alice, "began T1, attempt 2")).rpartition("step ")[2])
            assert step > 0
            await beyond(ask, "T1", step)
            assert (await ask.task("T1"))["releases"] == 1


async def test_one_that_is_asked_to_end_hands_over(example: Example, tmp_path: Path) -> None:
    async with pool(tmp_path) as (ask, url):
        async with worker(example, tmp_path, CUSTODY_NATS=url) as alice:
            await ask.done("ops.submit", task_id="T1", **ENDLESS)
            await says(alice, "began T1, attempt 1")
            await beyond(ask, "T1", 0)
        found = await ask.done("query.task", task_id="T1")
        assert (found["status"], found["handoff"]["reason"]) == ("queued", "handed over")
        assert found["handoff"]["last_checkpoint"]["done"] > 0
        assert (await ask.done("query.agents"))["agents"] == []


async def test_one_that_waits_for_work_ends_at_once(example: Example, tmp_path: Path) -> None:
    async with pool(tmp_path) as (ask, url):
        async with worker(example, tmp_path, CUSTODY_NATS=url) as alice:
            await ask.done("ops.submit", task_id="T1", **{**TASK, "payload": {"steps": 1, "fail": "no luck"}})
            await says(alice, "failed T1")
            started = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - started < 10


async def test_a_cancelled_task_is_left(example: Example, tmp_path: Path) -> None:
    async with pool(tmp_path) as (ask, url), worker(example, tmp_path, CUSTODY_NATS=url) as alice:
        await ask.done("ops.submit", task_id="T1", **ENDLESS)
        await says(alice, "began T1")
        await ask.done("ops.cancel", task_id="T1")
        await says(alice, "T1: task T1 is cancelled")
        await ask.done("ops.submit", task_id="T2", **TASK)
        await says(alice, "completed T2")


async def test_beats_keep_leases_that_are_shorter_than_a_step_and_bring_a_stop(tmp_path: Path) -> None:
    place = ROOT / "examples" / "javascript"
    example: Example = [node(place), place / "worker.js"]
    short: dict[str, Any] = {
        "required_capabilities": ["example"],
        # With the grace, too.
        "lease": {"mode": "fixed", "lease_s": 3, "grace_s": 2},
    }
    async with pool(tmp_path) as (ask, url), worker(example, tmp_path, CUSTODY_NATS=url, CUSTODY_SLOTS="2") as alice:
        await ask.done("ops.submit", task_id="T1", payload={"steps": 1, "step_s": 6}, **short)
        await says(alice, "began T1, attempt 1")
        await ask.done("ops.submit", task_id="T2", payload={"steps": 1, "step_s": 600}, **short)
        await says(alice, "began T2, attempt 1")
        await says(alice, "completed T1")
        await ask.done("ops.cancel", task_id="T2")
        await says(alice, "stopped T2")
        assert (await ask.done("query.task", task_id="T1"))["attempts_used"] == 1


async def test_a_trace_goes_from_the_submission_to_the_completion(tmp_path: Path) -> None:
    place = ROOT / "examples" / "javascript"
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with (
        pool(tmp_path) as (ask, url),
        worker([node(place), place / "worker.js"], tmp_path, CUSTODY_NATS=url) as a,
    ):
        body = json.dumps({"task_id": "T1", **TASK, "payload": {"steps": 1}}).encode()
        await ask.nc.request(f"custody.{POOL}.ops.submit", body, headers={"traceparent": trace}, timeout=15)
        await says(a, "completed T1")
        traces = {event.name: event.body.get("traceparent") for event in await read_log(ask.nc, POOL)}
        assert traces["task.submitted"] == traces["task.progressed"] == traces["task.completed"] == trace
        assert traces["agent.registered"] is None
