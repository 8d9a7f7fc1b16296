"""`custody up`: an embedded broker and the service, for one machine."""

import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from tests.system.caller import Caller
from tests.system.processes import Service, access, client

pytestmark = pytest.mark.system

POOL = "default"
FAST = {"broker_sync_interval": "2m"}


def listening(pid: int) -> set[str]:
    """The addresses on which a process listens, by the kernel's word (IPv4 and IPv6, in hex)."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            local, state, inode = (line.split()[column] for column in (1, 3, 9))
            if state == "0A" and f"socket:[{inode}]" in sockets:
                found.add(local.partition(":")[0])
    return found


async def test_it_says_how_to_be_reached_and_is_for_this_machine_and_user_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with Service("up", tmp_path, **FAST) as service:
        await service.ready()
        said = "\n".join(service.said)
        how = access(data)
        assert how["servers"] in said
        assert str(data / "credentials.json") in said
        assert "operator" in said
        assert "CUSTODY_default: 1 copy in file storage" in said
        assert "synced to disk every 2m: a power cut can lose" in said
        assert not any(password in said for password in json.loads((data / "credentials.json").read_text()).values())
        async with client(**how) as nc:
            assert (await Caller(nc, POOL).done("query.health"))["leading"] is True
        for path in (data, *data.rglob("*")):
            if path.name in {"credentials.json", "data"} or path.suffix == ".json":
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        broker = json.loads((data / "broker.json").read_text())["pid"]
        if sys.platform == "linux":
            assert listening(broker) == {"0100007F"}, "the loopback interface"
            assert listening(service.pid) == set()
        assert await service.stop() == 0
        assert not (data / "broker.json").exists()


async def test_always_is_the_default_and_means_on_disk(tmp_path: Path) -> None:
    async with Service("up", tmp_path) as service:
        await service.ready()
        assert "every acknowledged event is on disk" in await service.line(r"^log ")


async def test_a_second_one_on_the_directory_says_so_in_one_line(tmp_path: Path) -> None:
    async with Service("up", tmp_path, **FAST) as first:
        await first.ready()
        async with Service("up", tmp_path, **FAST) as second:
            assert await second.ended() == 1
            assert second.said == []
            (line,) = second.logged
            assert "already in use by another custody process" in line
        async with client(**access(tmp_path / "data")) as nc:
            assert (await Caller(nc, POOL).done("query.health"))["leading"] is True


async def test_what_was_done_is_there_at_the_next_start(tmp_path: Path) -> None:
    async with Service("up", tmp_path, **FAST) as service:
        await service.ready()
        async with client(**access(tmp_path / "data")) as nc:
            lease = await Caller(nc, POOL).lease(task_id="T1", payload={"kept": True})
        assert await service.stop(signal.SIGINT) == 0
        await service.start()
        await service.ready()
        assert "live tasks 1, agents 1" in await service.line(r"^pool ")
        async with client(**access(tmp_path / "data")) as nc:
            ask = Caller(nc, POOL)
            assert (await ask.task("T1"))["token"] == lease["token"]
            report = {"task_id": "T1", "token": lease["token"], "percent": 1}
            assert (await ask.done("agent.a1.progress", report))["directive"] == "continue"


async def test_a_broker_that_dies_ends_it_with_one_line(tmp_path: Path) -> None:
    async with Service("up", tmp_path, **FAST) as service:
        await service.ready()
        os.kill(json.loads((tmp_path / "data" / "broker.json").read_text())["pid"], signal.SIGKILL)
        assert await service.ended() == 1
        assert [line for line in service.logged if line.startswith("custody: ")] == [
            "custody: the embedded broker ended by itself; its log is in the data directory"
        ]
        assert not any("Traceback" in line for line in service.logged)


async def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    async with Service("up", tmp_path, **FAST) as service:
        assert await service.ended() == 1
        (line,) = service.logged
        assert "cannot use" in line


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_status_0_and_waiting_claims_empty(tmp_path: Path, by: signal.Signals) -> None:
    async with Service("up", tmp_path, **FAST) as service:
        await service.ready()
        async with client(**access(tmp_path / "data"), allow_reconnect=False) as nc:
            ask = Caller(nc, POOL)
            await ask.done("agent.a1.register")
            claim = asyncio.create_task(ask.ask("agent.a1.claim", wait_s=30, patience_s=35))
            while (await ask.done("query.health"))["waiting_claims"] == 0:
                pass
            assert await service.stop(by) == 0
            assert (await claim).result == {"leases": []}
        assert service.said[-1].startswith("stopped")
        assert not any("Traceback" in line for line in service.logged)
