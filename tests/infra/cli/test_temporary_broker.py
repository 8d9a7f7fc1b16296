"""Reading a data directory that no service uses: its log can be asked about, and stays as it was."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.broker.embedded import EmbeddedBroker
from infra.cli.session import broker_access
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.infra.cli.conftest import Result, invoke
from tests.support.broker import FAST


@pytest.fixture(autouse=True)
def no_broker_at_the_default_address(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine that runs these tests may have a broker there."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        monkeypatch.setattr(broker_access, "DEFAULT_URL", f"nats://127.0.0.1:{unheard.getsockname()[1]}")
        yield


@pytest.fixture
async def left(tmp_path: Path) -> Path:
    """A directory whose pool was opened, led, and left."""
    data = tmp_path / "data"
    async with EmbeddedBroker(data, FAST) as broker:
        server = PoolServer(Settings(), broker.url)
        await server.start(broker.auth)
        await server.stop()
    return data


async def ask(*arguments: str, data: Path) -> Result:
    return await asyncio.to_thread(invoke, *arguments, "--data-dir", str(data))


async def test_its_log_is_read_and_nothing_is_added(left: Path) -> None:
    for _ in range(2):
        rows = (await ask("audit", "--json", data=left)).lines
        assert [json.loads(row)["event"] for row in rows] == ["opened", "led"]
    assert (await ask("verify", data=left)).status == 0
    assert not (left / "broker.json").exists(), "the broker is gone again"


async def test_there_is_no_service_to_command(left: Path) -> None:
    result = await ask("submit", "T1", data=left)
    assert (result.status, result.out) == (3, "")
    assert "custody up" in result.err


async def test_a_directory_without_a_log_is_left_alone(tmp_path: Path) -> None:
    result = await ask("audit", data=tmp_path / "nothing")
    assert result.status == 3
    assert result.err.count("\n") == 1
    assert not (tmp_path / "nothing").exists()


async def test_a_directory_that_another_process_holds_is_one_line(left: Path) -> None:
    async with EmbeddedBroker(left, FAST):
        (left / "broker.json").unlink()
        result = await ask("audit", data=left)
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert "is already in use by another custody process" in result.err


async def test_a_broker_that_runs_there_is_used(left: Path) -> None:
    async with EmbeddedBroker(left, FAST):
        assert len((await ask("audit", "--json", data=left)).lines) == 2
        assert (left / "broker.json").exists()


async def test_an_exported_log_is_brought_back_into_an_empty_directory(left: Path, tmp_path: Path) -> None:
    assert (await ask("export", "left.gz", data=left)).status == 0
    result = await ask("import", "left.gz", data=tmp_path / "new")
    assert (result.status, result.err) == (0, "")
    assert result.lines[0] == "2 events of pool default, positions 1 to 2, imported from left.gz"
    rows = (await ask("audit", "--json", data=tmp_path / "new")).lines
    assert [json.loads(row)["event"] for row in rows] == ["opened", "led"]

    again = await ask("import", "left.gz", data=tmp_path / "new")
    assert again.status == 1
    assert "has a log already" in again.err
