"""The life of a service: what ends it, and with which status."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from infra.broker import embedded
from infra.broker.embedded import EmbeddedBroker
from infra.nats.auth import Auth
from infra.service import run
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import FAST
from tests.system.processes import Service

pytestmark = pytest.mark.system
FULL = "[7] [ERR] JetStream stream '$G > S' critical write error: write a/msgs/1.blk: no space left on device\n"
"""What nats-server 2.15.1 logs once and for all; it tells nobody else, and answers no append from then on."""


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
    # run_up and run_serve set up this process's logging and signals, too.
    serving = asyncio.create_task(run._serve(Settings(), "nats://127.0.0.1:1", lambda _: Auth(), stop))  # noqa: SLF001
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
async def test_a_full_disk_ends_a_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        fill_up(tmp_path)
        async with asyncio.timeout(5):
            status = await run._serve(  # noqa: SLF001 - same
                Settings(), broker.url, lambda _: Auth(), asyncio.Event(), broker=broker
            )
    assert status == 1
    assert f"cannot write to {tmp_path}: no space left on device" in capsys.readouterr().err


async def test_a_full_disk_ends_the_service_in_one_line(tmp_path: Path) -> None:
    async with Service("up", tmp_path) as service:
        await service.ready()
        fill_up(tmp_path / "data")
        assert await service.ended() == 1
        line = f"custody: the embedded broker cannot write to {tmp_path / 'data'}: no space left on device; mend that"
        assert [each for each in service.logged if each.startswith(line)] == service.logged


async def test_what_an_earlier_start_said_counts_no_more(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, FAST):
        fill_up(tmp_path)
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(broker.write_error(), 0.1)
