"""A cluster one of whose nodes loses the others: no agent that beats at the others is expired."""

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from infra.nats.auth import Auth
from infra.nats.connection import NatsConnection
from infra.nats.node_choice import node_name
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.cluster import cluster
from tests.system.caller import Caller
from tests.system.processes import Service, client
from tests.system.projectors import until
from tests.system.streams import Feed, read_log

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.cluster]

POOL = "default"
AGENTS = 5
SHORT = {"mode": "fixed", "lease_s": 4, "grace_s": 1}
BEATS = 20
"""So many are taken of each agent in 10 s: long enough for agents that were not heard to be expired twice."""
PATIENCE_S = 40.0
SETTINGS = {"stream_replicas": 3}


class Beating:
    """Agents that report each half second, taken or not."""

    def __init__(self, ask: Caller) -> None:
        self._ask = ask
        self._tasks: list[asyncio.Task[None]] = []
        self._taken = [0] * AGENTS
        self._more = asyncio.Event()

    async def start(self) -> None:
        await until("an answer at another node", self._answered, lambda: "no responder is known there")
        for number in range(AGENTS):
            lease = await self._ask.lease(f"a{number}", task_id=f"T{number}", lease=SHORT)
            self._tasks.append(asyncio.create_task(self._beat(number, lease)))

    async def _answered(self) -> bool:
        """Return whether the agents' node knows where requests go, which it learns after the service listens."""
        try:
            return (await self._ask.ask("query.health")).ok
        except NoRespondersError:
            return False

    async def taken(self) -> None:
        """Wait until `BEATS` more reports of each agent are taken; one is refused if its lease ended."""
        wanted = [taken + BEATS for taken in self._taken]
        async with asyncio.timeout(PATIENCE_S):
            while any(taken < least for taken, least in zip(self._taken, wanted, strict=True)):
                self._more.clear()
                await self._more.wait()

    async def _beat(self, number: int, lease: dict[str, object]) -> None:
        report = {"task_id": lease["task_id"], "token": lease["token"], "percent": 1}
        while True:
            with contextlib.suppress(TimeoutError, NatsError):
                reply = await self._ask.ask(f"agent.a{number}.progress", report, patience_s=1)
                assert reply.ok or reply.code == "unavailable", reply.body
                self._taken[number] += reply.ok
                self._more.set()
            await asyncio.sleep(0.5)

    async def stop(self) -> None:
        for each in self._tasks:
            each.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


class Split(PoolServer):
    """A service whose responder begins on another node than its writer."""

    def __init__(self, settings: Settings, nodes: dict[str, str]) -> None:
        super().__init__(settings, "")
        self._first = nodes
        self.connections: dict[str, NatsConnection] = {}

    async def _connected(self, purpose: str, auths: object) -> NatsConnection:
        self.url = self._first[purpose]
        self.connections[purpose] = await super()._connected(purpose, lambda _: Auth())
        return self.connections[purpose]


async def test_with_the_responder_on_a_node_that_lost_its_peers_no_lease_expires(tmp_path: Path) -> None:
    async with cluster(tmp_path) as nodes, client(servers=nodes.others) as nc:
        server = Split(Settings(pool=POOL, stream_replicas=3), {"writer": nodes.others[0], "responder": nodes.lonely})
        await server.start(lambda _: Auth())
        agents = Beating(Caller(nc, POOL))
        try:
            await agents.start()
            async with Feed(nc, POOL) as feed:
                nodes.isolate()
                await feed.until("pool.rearmed")
            await agents.taken()
            used = {each.node for each in server.connections.values()}
            assert len(used) == 1
            assert node_name(urlsplit(nodes.lonely)) not in used
            names = [event.name for event in await read_log(nc, POOL)]
            assert "task.expired" not in names
            assert names.count("task.leased") == AGENTS
        finally:
            await agents.stop()
            await server.stop()


async def test_both_connections_leave_a_node_that_lost_its_peers_within_3_s(tmp_path: Path) -> None:
    async with (
        cluster(tmp_path) as nodes,
        Service("serve", tmp_path, nats=nodes.url, **SETTINGS) as service,
        client(servers=nodes.others) as nc,
    ):
        await service.ready()
        ask = Caller(nc, POOL)
        agents = Beating(ask)
        try:
            await agents.start()
            nodes.isolate()
            left = await service.line("leaving the broker at .* for another node", patience_s=5)
            assert node_name(urlsplit(nodes.lonely)) in left
            await service.line("agents are out of reach: the cluster confirmed nothing that the service wrote")
            await agents.taken()
            reconnected = [line for line in service.logged if "reconnected to the broker at" in line]
            assert len(reconnected) == 2
            assert len({line.rpartition(" ")[2] for line in reconnected}) == 1
            assert "task.expired" not in {event.name for event in await read_log(nc, POOL)}
            await ask.done("ops.submit", task_id="after")
        finally:
            await agents.stop()
        assert await service.stop() == 0
