"""The life of a service: what ends it, and with which status."""

import asyncio
import contextlib
import resource
from pathlib import Path
from typing import Any

import pytest

from infra.broker import embedded
from infra.broker.data_dir import DataDir
from infra.broker.embedded import EmbeddedBroker
from infra.nats.auth import Auth
from infra.service import run
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import FAST
from tests.system.caller import Caller
from tests.system.processes import Service, client
from tests.system.streams import read_log

pytestmark = pytest.mark.system
FULL = "[7] [ERR] JetStream stream '$G > S' critical write error: write a/msgs/1.blk: no space left on device\n"
"""What nats-server 2.15.1 logs once and for all; it says so nowhere else, and answers no append from then on."""


def fill_up(data: Path) -> None:
    """Let the broker say that its disk is full."""
    with (data / "broker" / "nats-server.log").open("a") as log:
        log.write(FULL)


@pytest.fixture
def never_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(run, "_start", wait)
    monkeypatch.setattr(embedded, "WRITE_ERROR_INTERVAL_S", 0.01)


@pytest.mark.usefixtures("never_ready")
async def test_a_service_that_cannot_start_can_be_stopped() -> None:
    stop = asyncio.Event()
    serving = asyncio.create_task(
        run._serve(Settings(), "nats://127.0.0.1:1", lambda _: Auth(), stop)  # noqa: SLF001 - `run_serve` sets up this process's logging, too
    )
    await asyncio.sleep(0)
    stop.set()
    assert await serving == 0


async def test_a_start_that_ends_though_it_was_cancelled_is_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[PoolServer] = []

    async def start(*_: Any) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def stop_server(server: PoolServer) -> bool:
        stopped.append(server)
        return True

    monkeypatch.setattr(run, "_start", start)
    monkeypatch.setattr(PoolServer, "stop", stop_server)
    stop = asyncio.Event()
    serving = asyncio.create_task(run._serve(Settings(), "nats://127.0.0.1:1", lambda _: Auth(), stop))  # noqa: SLF001 - same
    await asyncio.sleep(0)
    stop.set()
    assert await serving == 0
    assert len(stopped) == 1


@pytest.mark.usefixtures("never_ready")
async def test_a_start_on_a_full_disk_says_so_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(DataDir, "has_room", lambda _: False)
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        fill_up(tmp_path)
        stop = asyncio.Event()
        serving = asyncio.create_task(
            run._serve(Settings(), broker.url, lambda _: Auth(), stop, broker=broker)  # noqa: SLF001 - same
        )
        async with asyncio.timeout(30):
            while "cannot write" not in caplog.text:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
            stop.set()
            assert await serving == 0
    assert f"cannot write to {tmp_path}: no space left on device" in caplog.text


async def test_a_disk_that_was_full_and_has_room_again_is_used_again(tmp_path: Path) -> None:
    # A busy machine takes its time to start the broker anew, and the caller is to hear what came of it.
    async with Service("up", tmp_path, broker_sync_interval="2m", reply_timeout_s=60.0) as service:
        await service.ready()
        data = DataDir.at(tmp_path / "data")
        record, passwords = data.read_record(), data.read_passwords()
        assert record is not None
        async with client(servers=record.url, user="operator", password=passwords["operator"]) as nc:
            ask = Caller(nc, "default")
            await ask.done("ops.submit", task_id="T1")
            # The server's own limit on files stands in for a full disk: the next server has none.
            resource.prlimit(record.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
            submit = asyncio.create_task(
                ask.ask("ops.submit", {"task_id": "T2", "payload": "x" * 60_000, "command_id": "c2"}, patience_s=60)
            )
            assert "make room" in await service.line("the embedded broker cannot write to .*: file too large")
            await service.line("the embedded broker was started anew")
            assert (await submit).ok
            assert (await ask.done("query.task", task_id="T1"))["status"] == "queued"
            assert [event.name for event in await read_log(nc, "default")].count("task.submitted") == 2
        assert await service.stop() == 0


async def test_what_an_earlier_start_said_counts_no_more(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, FAST):
        fill_up(tmp_path)
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(broker.write_error(), 0.1)
