"""`custody serve`: the service on a broker that is there, or is not fit."""

import asyncio
import itertools
import json
import logging
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.service.run import run_serve
from infra.settings.settings import Settings
from tests.support.broker import Connect
from tests.support.fake_broker import FakeBroker
from tests.system.caller import Caller, Reply
from tests.system.load import UNDECIDED
from tests.system.processes import Service, passwords, serve
from tests.system.streams import check_log, read_log

pytestmark = pytest.mark.system
WARNING_OF_NO_CREDENTIALS = "any client can act as any agent or operator"


@pytest.fixture
async def nc(connect: Connect) -> Client:
    return await connect()


@pytest.fixture
async def serving(broker: EmbeddedBroker, pool: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serve(broker, tmp_path, pool=pool) as service:
        yield await service.ready()


class Refuse(Protocol):
    """Tries to serve in this process; returns the one line that it ends with, beside status 1."""

    async def __call__(self, url: str, **settings: Any) -> str: ...


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Refuse:
    async def try_to_serve(url: str, **settings: Any) -> str:
        assert await run_serve(Settings(**settings), url) == 1
        said = capsys.readouterr()
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert (said.out, [each for each in warnings if "without credentials" not in each.message]) == ("", [])
        (line,) = said.err.splitlines()
        assert line.startswith("custody: ")
        return line

    return try_to_serve


async def test_it_makes_the_stream_and_says_what_an_answer_is_worth(
    serving: Service, nc: Client, pool: str, broker: EmbeddedBroker
) -> None:
    log = await serving.line(r"^log ")
    assert f"CUSTODY_{pool}: 1 copy in file storage, compression none, nats-server 2." in log
    assert "unless it is set to `sync_interval: always`" in log
    assert not any(WARNING_OF_NO_CREDENTIALS in line for line in serving.logged)
    info = await nc.jetstream().stream_info(f"CUSTODY_{pool}")
    assert info.config.subjects == [f"custody.{pool}.evt.>"]
    assert broker.credentials("writer")["password"] not in "".join((*serving.said, *serving.logged))


async def test_a_second_one_on_the_pool_is_refused_in_one_line(
    serving: Service, broker: EmbeddedBroker, pool: str, refused: Refuse
) -> None:
    line = await refused(broker.url, pool=pool, **passwords(broker))
    assert f"pool {pool} is already being served, by " in line
    assert f":{serving.pid}:" in line


async def test_a_broker_that_is_too_old(refused: Refuse) -> None:
    async with FakeBroker(version="2.11.9", responders=False) as old:
        assert "is nats-server 2.11.9; 2.12.1 or newer is needed" in await refused(old.url)


async def test_a_broker_without_jetstream(refused: Refuse) -> None:
    async with FakeBroker(responders=False) as plain:
        assert "runs without JetStream" in await refused(plain.url)


@pytest.mark.parametrize(
    ("differing", "named"),
    [
        ({"deny_delete": False}, "deny_delete: found false, needed true"),
        ({"allow_atomic": False}, "allow_atomic: found false, needed true"),
        ({"max_msgs": 1000}, "max_msgs: found 1000, needed -1"),
        ({"subjects": ["custody.elsewhere.evt.>"]}, "subjects: found custody.elsewhere.evt.>, needed custody."),
        ({"republish": None}, "republish: found none, needed src=custody."),
    ],
)
async def test_a_stream_that_differs_is_named_and_left_alone(
    connect: Connect, broker: EmbeddedBroker, pool: str, refused: Refuse, differing: dict[str, Any], named: str
) -> None:
    admin = await connect("admin")
    prefix = f"custody.{pool}"
    config: dict[str, Any] = {
        "name": f"CUSTODY_{pool}",
        "subjects": [f"{prefix}.evt.>"],
        "republish": {"src": f"{prefix}.evt.>", "dest": f"{prefix}.feed.>"},
        "storage": "file",
        "discard": "new",
        "allow_atomic": True,
        "allow_direct": True,
        "deny_delete": True,
        "deny_purge": True,
        **differing,
    }
    body = json.dumps({name: value for name, value in config.items() if value is not None}).encode()
    made = json.loads((await admin.request(f"$JS.API.STREAM.CREATE.CUSTODY_{pool}", body, timeout=10)).data)
    assert "error" not in made, made
    line = await refused(broker.url, pool=pool, **passwords(broker))
    assert f"stream CUSTODY_{pool} is not fit to be the log: " in line
    assert named in line
    info = json.loads((await admin.request(f"$JS.API.STREAM.INFO.CUSTODY_{pool}", timeout=10)).data)
    assert (info["config"], info["state"]["messages"]) == (made["config"], 0)


async def test_it_waits_for_its_broker_and_says_why(tmp_path: Path, pool: str) -> None:
    broker = EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m"))
    async with broker:
        pass  # Its address and its passwords are made at its first start.
    async with serve(broker, tmp_path, pool=pool) as service:
        line = await service.line("cannot serve yet")
        assert broker.url in line
        assert "connection refused" in line
        async with broker:
            await service.ready()
            assert await service.stop() == 0


async def test_a_start_that_waits_can_be_stopped(tmp_path: Path, pool: str) -> None:
    async with Service("serve", tmp_path, nats="nats://127.0.0.1:1", pool=pool) as service:
        await service.line("cannot serve yet")
        assert await service.stop() == 0


async def test_of_two_starts_at_once_one_serves_and_the_other_ends_in_one_line(
    broker: EmbeddedBroker, pool: str, tmp_path: Path
) -> None:
    async with serve(broker, tmp_path, pool=pool) as one, serve(broker, tmp_path, pool=pool) as other:
        ends = {asyncio.create_task(each.ended()): each for each in (one, other)}
        done, running = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        (ended,) = done
        loser = ends[ended]
        assert ended.result() == 1
        (line,) = [line for line in loser.logged if line.startswith("custody: ")]
        assert "is already being served" in line or "stepping down" in line
        assert not any("Traceback" in line for line in (*one.logged, *other.logged))
        for each in running:
            await ends[each].ready()
            assert await ends[each].stop() == 0


@pytest.mark.parametrize("user", ["operator", "writer", "responder"])
async def test_wrong_credentials(broker: EmbeddedBroker, pool: str, refused: Refuse, user: str) -> None:
    line = await refused(broker.url, pool=pool, **{**passwords(broker), f"{user}_password": "guess"})
    assert "it refuses the credentials" in line
    assert "guess" not in line


async def test_without_credentials_it_warns_once(tmp_path: Path, pool: str) -> None:
    options = BrokerOptions(sync_interval="2m", enforce_users=False)
    async with (
        EmbeddedBroker(tmp_path / "broker", options) as open_broker,
        Service("serve", tmp_path, nats=open_broker.url, pool=pool) as service,
    ):
        await service.ready()
        assert sum(WARNING_OF_NO_CREDENTIALS in line for line in service.logged) == 1
        assert await service.stop() == 0


async def test_credentials_in_the_address_count_and_are_not_shown(
    broker: EmbeddedBroker, pool: str, tmp_path: Path
) -> None:
    admin = broker.credentials("admin")
    url = broker.url.replace("//", f"//{admin['user']}:{admin['password']}@")
    async with Service("serve", tmp_path, nats=url, pool=pool) as service:
        await service.ready()
        assert await service.stop() == 0
        everything = "\n".join((*service.said, *service.logged))
    assert admin["password"] not in everything
    assert WARNING_OF_NO_CREDENTIALS not in everything


async def ask_until_no_service_answers(ask: Caller) -> list[Reply | None]:
    """Send requests of every kind, sixty at a time; None for each that no service took. A timeout is an error."""
    tails = ("ops.submit", "query.tasks", "agent.a1.claim", "query.task", "ops.cancel", "agent.a9.heartbeat")
    numbers = itertools.count()

    async def one_after_another() -> list[Reply | None]:
        found: list[Reply | None] = []
        for number in numbers:
            tail = tails[number % len(tails)]
            fields = {"task_id": f"unknown-{number}"} if tail in {"query.task", "ops.cancel"} else {}
            try:
                found.append(await ask.ask(tail, fields))
            except NoRespondersError:
                found.append(None)
                return found
        return found

    return [reply for each in await asyncio.gather(*(one_after_another() for _ in range(60))) for reply in each]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_what_was_taken_is_answered_before_it_ends(
    serving: Service, nc: Client, pool: str, by: signal.Signals
) -> None:
    ask = Caller(nc, pool)
    await ask.done("agent.a1.register", capacity=500)
    asked = asyncio.create_task(ask_until_no_service_answers(ask))
    while len(await read_log(nc, pool)) < 60:
        pass
    assert await serving.stop(by) == 0
    replies = await asked
    assert None in replies, "the others are told that the pool is not served"
    submitted = {reply.result["task_id"] for reply in replies if reply and reply.ok and "task_id" in reply.result}
    log = await read_log(nc, pool)
    check_log(log, pool)
    assert submitted <= {event.entity_id for event in log if event.name == "task.submitted"}
    undecided = {reply.code for reply in replies if reply and not reply.ok} & UNDECIDED
    assert undecided <= {"overloaded"}
    assert not any("Traceback" in line for line in serving.logged)
