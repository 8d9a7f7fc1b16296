"""Where the command line finds the broker, and as whom."""

import asyncio
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.broker.data_dir import BrokerRecord, DataDir, write_private
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.process import has_ended
from infra.cli.session.broker_access import DEFAULT_URL, Access, connection_refused, find_access
from infra.nats.auth import Auth
from infra.settings.settings import Settings

URL = "nats://127.0.0.1:4333"
OPERATOR = Auth(user="operator", password="hush")


@pytest.fixture
def beside_up(directory: Path, monkeypatch: pytest.MonkeyPatch) -> DataDir:
    """A data directory as a running `custody up` leaves it."""
    data = DataDir.at(directory / ".custody")
    data.create()
    data.write_record(BrokerRecord(url=URL, pid=1, users=True))
    monkeypatch.setattr("infra.broker.process.has_ended", lambda pid, _: pid != 1)
    write_private(data.credentials, '{"operator": "hush", "writer": "other"}')
    return data


@pytest.mark.parametrize("nats", [None, URL, "nats://localhost:4333", "127.0.0.1:4333"])
def test_beside_up_its_password_is_used(nats: str | None, beside_up: DataDir) -> None:
    assert find_access(Settings(nats=nats)) == Access(nats or URL, OPERATOR)


def test_another_broker_does_not_get_the_password(beside_up: DataDir) -> None:
    assert find_access(Settings(nats="nats://elsewhere:4333")) == Access("nats://elsewhere:4333", Auth())
    assert find_access(Settings(nats="nats://127.0.0.1:4334")) == Access("nats://127.0.0.1:4334", Auth())


@pytest.mark.parametrize(
    ("nats", "auth"), [(f"{URL}, nats://elsewhere:4333", Auth()), (f"{URL},nats://localhost:4333", OPERATOR)]
)
def test_several_brokers_get_the_password_if_all_are_that_one(nats: str, auth: Auth, beside_up: DataDir) -> None:
    assert find_access(Settings(nats=nats)) == Access(nats, auth)


def test_what_listens_where_a_killed_broker_did_gets_no_password(beside_up: DataDir) -> None:
    beside_up.write_record(BrokerRecord(url=URL, pid=2, users=True))
    assert find_access(Settings()) == Access(URL, Auth())


async def test_whether_a_broker_has_ended_for_certain(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path / "a", BrokerOptions(sync_interval="2m")) as broker:
        pid = broker.pid
        assert pid is not None
        assert not has_ended(pid, broker.directory)
        assert has_ended(pid, DataDir.at(tmp_path / "b")), "it is another one's"
        assert has_ended(os.getpid(), broker.directory)
    assert has_ended(pid, broker.directory)
    assert has_ended(2**70, broker.directory)


def test_what_the_settings_say_comes_first(beside_up: DataDir) -> None:
    settings = Settings(nats_user="me", nats_password=SecretStr("mine"))
    assert find_access(settings).auth == Auth(user="me", password="mine")


def test_without_anything_it_is_the_usual_port() -> None:
    assert find_access(Settings()) == Access(DEFAULT_URL, Auth(), guessed=True)


async def test_a_port_without_a_listener_is_known_at_once() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert not await connection_refused(f"nats://127.0.0.1:{port}")
    server.close()
    await server.wait_closed()
    assert await connection_refused(f"nats://127.0.0.1:{port}")
    assert not await connection_refused("nats://127.0.0.1:1,nats://127.0.0.1:2")
    assert not await connection_refused("nats://127.0.0.1:port")
