"""The example worker through restarts of the service, of the broker, and of `custody up`, as real processes."""

from __future__ import annotations

import asyncio
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
from tests.system.caller import Caller
from tests.system.processes import Service, access, client, operator, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.system

POOL = "default"
TASK: dict[str, Any] = {"required_capabilities": ["example"], "payload": {"steps": 60, "step_s": 0.05}}
PATIENCE_S = 45.0
"""A request that a restart swallowed is asked again after 10 s."""


@asynccontextmanager
async def worker(directory: Path, **environment: str) -> AsyncIterator[Process]:
    """The example; it must still be there at the end, and leave when it is asked to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "examples" / "agent.py",
        "alice",
        cwd=directory,
        env={**kept, **environment},
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        yield process
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
async def test_it_lives_through_a_restart_of_custody_up(tmp_path: Path, end: str) -> None:
    data = tmp_path / "data"
    async with Service("up", tmp_path, broker_sync_interval="2m") as service:
        await service.ready()
        before = access(data)
        async with worker(tmp_path, CUSTODY_DATA_DIR=str(data)) as alice, client(**before) as nc:
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


async def test_it_lives_through_restarts_of_the_service_and_of_the_broker(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as broker:
        url = broker.url.replace("//", f"//operator:{broker.credentials('operator')['password']}@")
        async with (
            serve(broker, tmp_path) as service,
            operator(broker) as nc,
        ):
            await service.ready()
            ask = Caller(nc, POOL)
            async with worker(tmp_path, CUSTODY_NATS=url) as alice:
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
