"""A service one of whose connections hears nothing, although its pings are answered."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import WRITER, inbox
from infra.nats.auth import Auth
from infra.nats.buckets import reach_bucket
from infra.nats.connection import NatsConnection
from infra.nats.node_choice import node_name
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import Connect
from tests.support.tcp_proxy import TcpProxy
from tests.system.caller import Caller
from tests.system.load import UNDECIDED
from tests.system.streams import Feed, moment, read_log

pytestmark = pytest.mark.system

SHORT = {"mode": "fixed", "lease_s": 3, "grace_s": 0.5}
PATIENCE_S = 30.0


class Split(PoolServer):
    """A service with one connection through a proxy, the first of the nodes that it knows; without others, the only."""

    def __init__(
        self, settings: Settings, broker: EmbeddedBroker, through: dict[str, str], *, others: bool = True
    ) -> None:
        super().__init__(settings, broker.url)
        self.broker = broker
        self.through = through
        self.others = others
        self.connections: dict[str, NatsConnection] = {}
        self.users = {"writer": "writer", "responder": "responder"}

    async def _connected(self, purpose: str, auths: object) -> NatsConnection:
        first = self.through.get(purpose)
        nodes = [node for node in (first, self.broker.url) if node is not None]
        self.url = ",".join(nodes if self.others else nodes[:1])
        self.connections[purpose] = await super()._connected(purpose, lambda user: self.broker.auth(self.users[user]))
        return self.connections[purpose]


@asynccontextmanager
async def through_proxy(
    broker: EmbeddedBroker, pool: str, *purposes: str, others: bool = True
) -> AsyncIterator[tuple[Split, TcpProxy]]:
    """Serve the pool with the connections for these purposes through a proxy."""
    async with TcpProxy(broker.url) as proxy:
        server = Split(Settings(pool=pool), broker, dict.fromkeys(purposes, proxy.url), others=others)
        await server.start(lambda _: Auth())
        try:
            yield server, proxy
        finally:
            await server.stop()


class Lines(logging.Handler):
    """What the service logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self._more.set()

    async def until(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self.said(text):
                self._more.clear()
                await self._more.wait()

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)


@pytest.fixture
def logged() -> Iterator[Lines]:
    lines, logger = Lines(), logging.getLogger("infra.service.agent_path")
    level = logger.level
    # Not by its attribute: loggers remember which levels are enabled until one is set.
    logger.setLevel(logging.INFO)
    logger.addHandler(lines)
    yield lines
    logger.removeHandler(lines)
    logger.setLevel(level)


async def test_a_connection_that_hears_nothing_is_moved_and_no_lease_is_judged_meanwhile(
    broker: EmbeddedBroker, connect: Connect, pool: str, logged: Lines
) -> None:
    async with through_proxy(broker, pool, "responder") as (_, proxy):
        nc = await connect()
        ask = Caller(nc, pool)
        async with Feed(nc, pool) as feed:
            lease = await ask.lease(task_id="T1", lease=SHORT)
            proxy.drop_messages()
            await logged.until("agents are out of reach")
            await logged.until("for another node: no request came in")
            await logged.until("agents are in reach again")
            rearmed = await feed.until("pool.rearmed")
            assert rearmed.data["blind_s"] > 1.5
            await ask.done("agent.a1.progress", task_id="T1", token=lease["token"], percent=1)
            expired = await feed.until("task.expired")
            assert moment(expired.body["time"]) >= moment(rearmed.data["not_before"])


async def test_a_connection_that_confirms_no_append_is_moved(
    broker: EmbeddedBroker, connect: Connect, pool: str, logged: Lines
) -> None:
    async with through_proxy(broker, pool, "writer") as (_, proxy):
        ask = Caller(await connect(), pool)
        proxy.drop_messages()
        reply = await ask.ask("ops.submit", {"command_id": "c1"})
        while not reply.ok and reply.code in UNDECIDED:
            reply = await ask.ask("ops.submit", {"command_id": "c1"})
        assert reply.ok, reply.body
        moved = next(line for line in logged.lines if "for another node: " in line)
        assert "is not confirmed for " in moved
        # It is half a second that the service takes to notice; a machine may stand still for longer.
        assert 2.5 <= float(moved.split()[-2]) <= 6
        events = [event for event in await read_log(ask.nc, pool) if event.body["causationid"] == "c1"]
        assert len(events) == 1, "it was stored once, although its confirmation was lost"


@pytest.mark.parametrize(("lost", "other"), [("writer", "responder"), ("responder", "writer")])
async def test_the_other_connection_follows_one_that_was_lost_alone(
    broker: EmbeddedBroker, connect: Connect, pool: str, logged: Lines, lost: str, other: str
) -> None:
    async with through_proxy(broker, pool, "writer", "responder") as (server, proxy):
        nodes = {each.node for each in server.connections.values()}
        assert nodes == {node_name(urlsplit(proxy.url))}
        followed = asyncio.Event()
        server.connections[other].reconnected.add(followed.set)
        server.connections[lost].drop()
        await logged.until("for the other connection's node")
        await followed.wait()
        ask = Caller(await connect(), pool)
        assert (await ask.ask("ops.submit", {"command_id": "c1"})).ok
        assert {each.node for each in server.connections.values()} == {node_name(urlsplit(broker.url))}


async def test_the_only_node_is_not_left(broker: EmbeddedBroker, connect: Connect, pool: str, logged: Lines) -> None:
    async with through_proxy(broker, pool, "responder", others=False) as (_, proxy):
        proxy.drop_messages()
        await logged.until("agents are out of reach")
        await asyncio.sleep(2)
        assert not logged.said("another node")
        proxy.cut()
        await logged.until("in reach again")
        assert (await Caller(await connect(), pool).ask("query.health")).ok


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("infra.service.agent_path.ReachBucket.confirms", "the cluster could not be asked to confirm a write"),
        ("infra.service.agent_path.AgentPath._look", "the watch over the agents' way to the pool failed"),
    ],
)
async def test_the_watch_goes_on_after_a_fault_of_its_own(
    broker: EmbeddedBroker, pool: str, logged: Lines, monkeypatch: pytest.MonkeyPatch, failing: str, said: str
) -> None:
    calls, again = 0, asyncio.Event()

    async def fail_once(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError("unforeseen")
        again.set()

    monkeypatch.setattr("infra.service.agent_path.INTERVAL_S", 0.01)
    monkeypatch.setattr("infra.service.agent_path.ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(failing, fail_once)
    async with through_proxy(broker, pool, "responder", "writer"):
        await logged.until(said)
        async with asyncio.timeout(PATIENCE_S):
            await again.wait()


async def test_a_broker_that_forbids_it_is_named(tmp_path: Path, pool: str, logged: Lines) -> None:
    async with EmbeddedBroker(tmp_path, BrokerOptions(sync_interval="2m")) as broker:
        server = PoolServer(Settings(pool=pool), broker.url)
        # The operator may not listen to what the service sends itself, but may do all else that a responder must here.
        users = {"writer": "writer", "responder": "operator"}

        await server.start(lambda purpose: broker.auth(users[purpose]))
        try:
            await logged.until("does not let the service send itself a request")
            await asyncio.sleep(2)
            assert not logged.said("out of reach")
        finally:
            await server.stop()


async def test_a_broker_that_forbids_to_ask_the_cluster_is_named(tmp_path: Path, pool: str, logged: Lines) -> None:
    create = f"$JS.API.STREAM.CREATE.{reach_bucket(pool).stream}"
    narrow = replace(WRITER, name="narrow", subscribe=(inbox("narrow"),), not_publish=(create,))
    async with (
        EmbeddedBroker(tmp_path, BrokerOptions(sync_interval="2m", extra_users=(narrow,))) as broker,
        TcpProxy(broker.url) as proxy,
    ):
        server = Split(Settings(pool=pool), broker, {"writer": proxy.url, "responder": proxy.url})
        server.users["writer"] = "narrow"
        await server.start(lambda _: Auth())
        try:
            await logged.until("whether the broker's node reaches the other nodes is not known")
            await asyncio.sleep(2)
            assert not logged.said("out of reach")
        finally:
            await server.stop()
