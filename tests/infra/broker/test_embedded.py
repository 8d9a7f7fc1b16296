"""The embedded broker: its start and end, its files and its users."""

import asyncio
import json
import os
import re
import signal
import stat
import sys
from pathlib import Path

import nats
import pytest

from infra.broker import process
from infra.broker.binary import BrokerBinaryError, find_binary
from infra.broker.data_dir import DataDir, DataDirError
from infra.broker.embedded import BrokerOptions, BrokerStartError, EmbeddedBroker
from tests.support.broker import FAST
from tests.support.servers import fresh_pool

pytestmark = [pytest.mark.system]


async def append(broker: EmbeddedBroker, pool: str) -> int:
    client = await nats.connect(broker.url, **broker.credentials("writer"), inbox_prefix=b"_INBOX.writer")
    stream = client.jetstream()
    await stream.add_stream(name=f"CUSTODY_{pool}", subjects=[f"custody.{pool}.evt.>"])
    ack = await stream.publish(f"custody.{pool}.evt.pool.{pool}.opened", b"{}")
    await client.close()
    return ack.seq


async def test_starts_on_a_free_port_and_says_where(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        record = DataDir.at(tmp_path).read_record()
        assert record is not None
        assert (record.url, record.pid, record.users) == (broker.url, broker.pid, True)
        assert broker.url.startswith("nats://127.0.0.1:")
    assert DataDir.at(tmp_path).read_record() is None
    assert broker.pid is None


async def test_events_and_passwords_outlive_a_clean_restart_and_a_crash(tmp_path: Path) -> None:
    broker, pool = EmbeddedBroker(tmp_path, FAST), fresh_pool()
    await broker.start()
    first = (broker.url, broker.credentials("writer"))
    assert await append(broker, pool) == 1
    await broker.kill()
    await broker.start()
    assert (broker.url, broker.credentials("writer")) == first
    assert await append(broker, pool) == 2
    await broker.stop()
    async with EmbeddedBroker(tmp_path, FAST) as successor:
        assert successor.credentials("writer") == first[1]
        assert await append(successor, pool) == 3


async def test_start_and_stop_may_be_repeated(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, FAST)
    assert await broker.start() == await broker.start()
    await broker.stop()
    await broker.stop()


@pytest.mark.parametrize("name", ["two words", "Größe 漢字", 'tab\tquote"$HOME*[a]'])
async def test_the_data_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    async with EmbeddedBroker(tmp_path / name, FAST) as broker:
        assert broker.directory.log.exists()
        assert (tmp_path / name / "broker" / "jetstream").is_dir()


async def test_a_second_broker_on_the_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, FAST):
        with pytest.raises(DataDirError, match="already in use") as refusal:
            await EmbeddedBroker(tmp_path, FAST).start()
        assert "\n" not in str(refusal.value)
        assert DataDir.at(tmp_path).read_record() is not None


async def test_a_directory_that_cannot_be_written_to_is_refused_in_one_line(tmp_path: Path) -> None:
    for inside in ("lock", "broker.json"):
        (tmp_path / inside).mkdir()
        with pytest.raises(DataDirError, match=rf"^cannot use {re.escape(str(tmp_path))} as data directory: "):
            await EmbeddedBroker(tmp_path, FAST).start()
        (tmp_path / inside).rmdir()
    async with EmbeddedBroker(tmp_path, FAST):
        pass


async def test_a_taken_port_is_named_in_the_error_and_frees_the_directory(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path / "a", FAST) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(BrokerStartError, match=rf"{port}.*address already in use") as error:
            await EmbeddedBroker(tmp_path / "b", BrokerOptions(port=port)).start()
        assert "\n" not in str(error.value)
    async with EmbeddedBroker(tmp_path / "b", FAST):
        pass


async def test_another_start_on_the_directory_takes_the_same_port_if_it_is_free(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        first = broker.url
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        assert broker.url == first
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", int(first.split(":")[2]))
    async with taken, EmbeddedBroker(tmp_path, FAST) as broker:
        second = broker.url
        assert second != first
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        assert broker.url == second


@pytest.mark.parametrize("damaged", ["", "x", "0", "-1", "65536", "9" * 30])
async def test_a_damaged_port_is_no_port(tmp_path: Path, damaged: str) -> None:
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        pass
    broker.directory.port.write_text(damaged)
    assert broker.directory.read_port() == 0


async def test_a_mistake_in_the_configuration_is_shown(tmp_path: Path) -> None:
    with pytest.raises(BrokerStartError, match="invalid duration") as error:
        await EmbeddedBroker(tmp_path, BrokerOptions(sync_interval="sometimes")).start()
    assert str(error.value).count("invalid duration") == 1


async def test_damaged_credentials_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(DataDirError, match=re.escape("credentials.json")):
        await EmbeddedBroker(tmp_path, FAST).start()
    assert (tmp_path / "credentials.json").read_text() == "{"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
async def test_only_the_owner_can_read_the_secrets(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, FAST) as broker:
        for path in (broker.directory.credentials, broker.directory.config):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(set(json.loads(broker.directory.credentials.read_text()).values())) == 4


async def test_without_users_any_client_may_connect(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, BrokerOptions(sync_interval="2m", enforce_users=False)) as broker:
        assert broker.credentials("writer") == {}
        assert await append(broker, fresh_pool()) == 1


async def test_with_users_a_stranger_is_turned_away(broker: EmbeddedBroker) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.url.rpartition(":")[2])
    writer.write(b'CONNECT {"verbose": false}\r\nPING\r\n')
    assert (await reader.readline()).startswith(b"INFO")
    assert b"Authorization Violation" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_waiting_tells_of_a_broker_that_died(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, FAST)
    await broker.start()
    assert broker.pid
    os.kill(broker.pid, signal.SIGTERM)
    assert await asyncio.wait_for(broker.wait(), 10) is not None
    await broker.stop()


CHILD = """
import asyncio, sys
from pathlib import Path
from infra.broker.embedded import EmbeddedBroker
async def main():
    broker = EmbeddedBroker(Path(sys.argv[1]))
    await broker.start()
    print(broker.pid, flush=True)
    await broker.wait()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
async def test_the_broker_ends_when_the_service_is_killed(tmp_path: Path) -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert service.stdout
    pid = int(await service.stdout.readline())
    assert process.find_orphan(DataDir.at(tmp_path)) == pid
    service.kill()
    await service.wait()
    async with asyncio.timeout(10):
        while process.find_orphan(DataDir.at(tmp_path)) == pid:  # noqa: ASYNC110 - not our child
            await asyncio.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="orphans are not searched for on Windows")
async def test_a_broker_left_behind_is_ended_by_the_next_start(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, FAST)
    await broker.start()
    pid, config = broker.pid, broker.directory.config
    await broker.stop()
    orphan = await asyncio.create_subprocess_exec(str(await find_binary()), "-c", str(config), cwd=config.parent)
    async with asyncio.timeout(10):
        while process.find_orphan(broker.directory) != orphan.pid:  # noqa: ASYNC110 - it does not tell us
            await asyncio.sleep(0.01)
    await broker.start()
    assert orphan.returncode is not None or await orphan.wait() is not None
    assert broker.pid not in {pid, orphan.pid}
    await broker.stop()


@pytest.mark.skipif(os.name == "nt", reason="orphans are not searched for on Windows")
async def test_a_recycled_pid_is_left_alone(tmp_path: Path) -> None:
    directory = DataDir.at(tmp_path)
    directory.create()
    bystander = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    directory.pid_file.write_text(str(bystander.pid))
    async with EmbeddedBroker(tmp_path, FAST):
        assert bystander.returncode is None
    await bystander.communicate(b"\n")
    assert bystander.returncode == 0


async def test_a_server_that_is_too_old_is_refused_by_version(tmp_path: Path) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho nats-server: v2.11.9\n")
    old.chmod(0o755)
    with pytest.raises(BrokerBinaryError, match=r"2\.12\.1 or newer is needed .*is 2\.11\.9"):
        await find_binary(old)


async def test_a_missing_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerBinaryError, match="does not run"):
        await find_binary(tmp_path / "nats-server")
