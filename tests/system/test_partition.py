"""A cluster one of whose nodes loses the others: no agent that beats at the others is expired."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from nats.errors import Error as NatsError

from infra.nats.auth import Auth
from infra.nats.connection import NatsConnection
from infra.nats.node_choice import node_name
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.cluster import cluster
from tests.system.caller import Caller
from tests.system.processes import Service, client
from tests.system.streams import Feed, read_log

pytestmark = [pytest.mark.system, pytest.mark.slow]

T = TypeVar("T")
POOL = "default"
AGENTS = 5
SHORT = {"mode": "fixed", "lease_s": 4, "grace_s": 1}
BEAT_S = 0.5
BEATS = 12
"""So many are taken of each agent in 6 s: long enough for agents that are not heard to be expired."""
PATIENCE_S = 30.0
"""How long the cluster may take to elect leaders on a machine that has other things to do."""
SETTINGS = {"stream_replicas": 3}
UNDECIDED = {"unavailable", "not_writer", "overloaded"}


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer, as programs do whose cluster may be electing leaders."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(TimeoutError, NatsError):
                return await ask()
            await asyncio.sleep(0.1)


async def carried_out(ask: Caller, tail: str, **fields: Any) -> Any:
    """Send a command until it is decided; return the result. It is carried out once."""
    fields["command_id"] = uuid4().hex

    async def decided() -> Any:
        reply = await ask.ask(tail, fields, patience_s=2)
        if not reply.ok and reply.code in UNDECIDED:
            raise TimeoutError
        assert reply.ok, f"{tail} was refused: {reply.body}"
        return reply.result

    return await patiently(decided)


class Beating:
    """Agents that report each half second, taken or not."""

    def __init__(self, ask: Caller) -> None:
        self._ask = ask
        self._tasks: list[asyncio.Task[None]] = []
        self._taken = [0] * AGENTS
        self._more = asyncio.Event()

    async def start(self) -> None:
        """Let each agent hold a task and begin to report.

        Where requests go, the agents' node learns after the service listens.
        """
        for number in range(AGENTS):
            agent = f"agent.a{number}"
            await carried_out(self._ask, f"{agent}.register")
            await carried_out(self._ask, "ops.submit", task_id=f"T{number}", lease=SHORT)
            [lease] = (await carried_out(self._ask, f"{agent}.claim"))["leases"]
            self._tasks.append(asyncio.create_task(self._beat(agent, number, lease)))

    async def taken(self) -> None:
        """Wait until `BEATS` more reports of each agent are taken; one is refused if its lease ended."""
        wanted = [taken + BEATS for taken in self._taken]
        async with asyncio.timeout(PATIENCE_S):
            while any(taken < least for taken, least in zip(self._taken, wanted, strict=True)):
                assert not any(task.done() for task in self._tasks), self._tasks
                self._more.clear()
                await self._more.wait()

    async def _beat(self, agent: str, number: int, lease: dict[str, object]) -> None:
        report = {"task_id": lease["task_id"], "token": lease["token"], "percent": 1}
        try:
            while True:
                with contextlib.suppress(TimeoutError, NatsError):
                    reply = await self._ask.ask(f"{agent}.progress", report, patience_s=1)
                    assert reply.ok or reply.code in UNDECIDED, reply.body
                    self._taken[number] += reply.ok
                    self._more.set()
                await asyncio.sleep(BEAT_S)
        finally:
            self._more.set()

    async def stop(self) -> None:
        for each in self._tasks:
            each.cancel()
        async with asyncio.timeout(PATIENCE_S):
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
            names = [event.name for event in await patiently(lambda: read_log(nc, POOL))]
            assert "task.expired" not in names
            assert names.count("task.leased") == AGENTS
        finally:
            await agents.stop()
            await server.stop()


async def test_both_connections_soon_leave_a_node_that_lost_its_peers(tmp_path: Path) -> None:
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
            # A machine may stand still meanwhile; otherwise it takes less than 3 s.
            left = await service.line("leaving the broker at .* for another node", patience_s=8)
            assert node_name(urlsplit(nodes.lonely)) in left
            await service.line("agents are out of reach: the cluster confirmed nothing that the service wrote")
            await agents.taken()
            # More than one move, if the others have not elected leaders meanwhile.
            used = [line.rpartition(" ")[2] for line in service.logged if "reconnected to the broker at" in line]
            assert len(used) >= 2
            assert used[-1] == used[-2]
            assert node_name(urlsplit(nodes.lonely)) not in used
            assert "task.expired" not in {event.name for event in await patiently(lambda: read_log(nc, POOL))}
            await carried_out(ask, "ops.submit", task_id="after")
        finally:
            await agents.stop()
        assert await service.stop() == 0
