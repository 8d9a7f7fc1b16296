"""A service whose broker goes away, freezes or stops answering, and one that was superseded."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.nats.api import JetStreamApi
from infra.nats.buckets import snapshots_bucket
from infra.nats.connection import NatsConnection, connect
from infra.nats.snapshot_store import NatsSnapshots
from infra.service.fold_build import fold_build
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import Connect, frozen, settled
from tests.support.tcp_proxy import TcpProxy
from tests.support.until import until
from tests.system.caller import Caller, Reply
from tests.system.load import UNDECIDED, Attempt, Load, check_floors, check_promises
from tests.system.processes import Service, operator, serve
from tests.system.streams import check_log, in_log, moment, read_log

pytestmark = pytest.mark.system

POOL = "default"
SHORT = {"mode": "fixed", "lease_s": 0.3, "grace_s": 0.1}
STOP_S = 30.0
"""A stop that waited for a frozen broker would never end."""


@asynccontextmanager
async def served(tmp_path: Path, **settings: float) -> AsyncIterator[tuple[EmbeddedBroker, Service, Client]]:
    """A broker that the test may harm, a service on it, and an operator's client."""
    async with (
        EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as broker,
        serve(broker, tmp_path, **settings) as service,
        operator(broker) as nc,
    ):
        await service.ready()
        yield broker, service, nc


async def test_a_restart_of_the_broker_is_no_silence_of_the_agents(tmp_path: Path) -> None:
    # An outage is longer than a silent agent is waited for, and agents are waited for as long again after it.
    outage_s, lease = 2.0, {"mode": "fixed", "lease_s": 1.2, "grace_s": 0.3}
    async with served(tmp_path) as (broker, service, nc):
        ask = Caller(nc, POOL)
        lost = await ask.lease(task_id="T1", lease=lease)
        await broker.kill()
        await asyncio.sleep(outage_s)
        await broker.start()
        replies: list[Reply] = []

        async def reported() -> bool:
            with contextlib.suppress(NatsError):
                report = {"task_id": "T1", "token": lost["token"], "percent": 1}
                replies.append(await ask.ask("agent.a1.progress", report, patience_s=1))
            return bool(replies) and (replies[-1].ok or replies[-1].code not in UNDECIDED)

        await until("a report decided", reported, lambda: replies)
        assert replies[-1].ok, f"it was not heard in time: {replies}"
        assert replies[-1].result["directive"] == "continue"
        rearmed = await in_log(nc, POOL, "pool.rearmed")
        assert (rearmed.data["reason"], rearmed.body["actor"]) == ("outage", "writer")
        assert rearmed.data["blind_s"] >= outage_s
        heard = await service.line("could not hear the agents for ")
        assert "could not hear the agents for 0.0 s" not in heard
        expired = await in_log(nc, POOL, "task.expired")
        assert moment(expired.body["time"]) >= moment(rearmed.data["not_before"])
        log = await read_log(nc, POOL)
        check_log(log, POOL)
        check_floors(log)
        assert [event.name for event in log].index("pool.rearmed") < [event.name for event in log].index("task.expired")
        assert await service.stop() == 0
        assert not any("Traceback" in line for line in service.logged)


async def test_a_service_that_the_broker_expels_ends_and_says_why(tmp_path: Path) -> None:
    async with served(tmp_path) as (broker, service, _):
        config = json.loads(broker.directory.config.read_text())
        for user in config["authorization"]["users"]:
            if user["user"] == "responder":
                user["password"] = "another"
        broker.directory.config.write_text(json.dumps(config))
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGHUP)
        assert await service.ended() == 1
        assert [line for line in service.logged if "Traceback" in line] == []
        expelled = (
            f"custody: the broker at {broker.url} closed the connection `responder` for good: authorization failed"
        )
        assert expelled in service.logged


async def test_a_frozen_broker_doubles_nothing(tmp_path: Path) -> None:
    reply_timeout_s = 0.2
    async with served(tmp_path, reply_timeout_s=reply_timeout_s) as (broker, service, nc):
        ask = Caller(nc, POOL)
        attempts: list[Attempt] = []
        codes: set[str] = set()
        async with asyncio.timeout(60):
            # The service may have answered all before the broker was frozen.
            while not codes:
                submits = [{"command_id": f"c{len(attempts) + number}"} for number in range(300)]
                asked = [asyncio.create_task(ask.ask("ops.submit", each)) for each in submits]
                await settled(nc)
                with frozen(broker):
                    # Nothing tells from outside that the service gave up waiting: what it says goes through the broker.
                    await asyncio.sleep(2 * reply_timeout_s)
                replies = await asyncio.gather(*asked)
                attempts += [Attempt("ops.submit", *each) for each in zip(submits, replies, strict=True)]
                codes = {each.code for each in replies if not each.ok}
        assert codes == {"unavailable"}, "a caller is told that the outcome is not known"
        await check_promises(ask, attempts)
        assert await service.stop() == 0


async def test_a_broker_frozen_for_long_is_left_and_found_again(tmp_path: Path) -> None:
    async with served(tmp_path, reply_timeout_s=0.5) as (broker, service, nc):
        assert broker.pid
        ask = Caller(nc, POOL)
        await ask.lease(task_id="T1", lease=SHORT)
        load = Load(ask, "f", 1)
        load.start(10)
        await load.answered(60)
        with frozen(broker):
            await service.line("lost the broker")
        async with operator(broker) as late:
            await in_log(late, POOL, "pool.rearmed")
            await load.stop()
            await check_promises(Caller(late, POOL), load.attempts)
        assert await service.stop() == 0


async def test_who_is_not_answered_by_the_broker_says_so_in_time(
    broker: EmbeddedBroker, connect: Connect, pool: str
) -> None:
    class Split(PoolServer):
        """Its writer goes through a proxy that loses the broker's answers."""

        async def _connected(self, purpose: str, auths: object) -> NatsConnection:
            self.url = proxy.url if purpose == "writer" else broker.url
            return await super()._connected(purpose, broker.auth)

    async with TcpProxy(broker.url) as proxy:
        server = Split(Settings(pool=pool, reply_timeout_s=0.4), broker.url)
        await server.start(broker.auth)
        try:
            ask = Caller(await connect(), pool)
            await ask.done("agent.a1.register", capacity=9)
            proxy.drop_answers()
            submits = [("ops.submit", {"command_id": f"c{number}"}) for number in range(5)]
            replies = await asyncio.gather(*(ask.ask(*each) for each in submits))
            assert {reply.code for reply in replies} == {"unavailable"}
            proxy.cut()
            outcomes: list[Reply] = []
            while not outcomes or any(not outcome.ok for outcome in outcomes):
                outcomes = [await ask.ask(*each) for each in submits]
            log = await read_log(ask.nc, pool)
            check_log(log, pool)
            for number, outcome in enumerate(outcomes):
                positions = [event.position for event in log if event.body["causationid"] == f"c{number}"]
                assert positions == [outcome.position], "once, although it was sent twice"
        finally:
            await server.stop()


async def test_a_stop_while_the_broker_is_away_is_a_stop(tmp_path: Path) -> None:
    async with served(tmp_path) as (broker, service, nc):
        await Caller(nc, POOL).lease(task_id="T1", lease=SHORT)
        await broker.kill()
        await service.line("lost the broker")
        assert await service.stop() == 0
        assert not any("Traceback" in line for line in service.logged)


async def test_a_stop_with_appends_in_flight_to_a_frozen_broker_is_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.pool_service.STOP_LIMIT_S", 0.5)
    async with EmbeddedBroker(tmp_path, BrokerOptions(sync_interval="2m")) as broker:
        assert broker.pid
        server = await PoolServer(Settings(pool=POOL), broker.url).start(broker.auth)
        async with operator(broker) as nc:
            load = Load(Caller(nc, POOL), "l", 3)
            load.start(10)
            await load.answered(50)
            with frozen(broker):
                async with asyncio.timeout(STOP_S):
                    await server.stop()
            await load.stop()
            successor = await PoolServer(Settings(pool=POOL), broker.url).start(broker.auth)
            await check_promises(Caller(nc, POOL), load.attempts)
            await successor.stop()


async def test_a_stop_while_the_broker_is_frozen_is_a_stop(tmp_path: Path) -> None:
    async with served(tmp_path) as (broker, service, _):
        with frozen(broker):
            assert await service.stop() == 0
        assert not any("Traceback" in line for line in service.logged)


async def test_a_superseded_service_steps_down_in_one_line(tmp_path: Path) -> None:
    async with served(tmp_path) as (broker, service, nc):
        ask = Caller(nc, POOL)
        load = Load(ask, "l", 3)
        load.start(10)
        await load.answered(50)
        second = PoolServer(Settings(pool=POOL), broker.url)
        await second.start(broker.auth)
        try:
            assert await service.ended() == 1
            (line,) = [line for line in service.logged if line.startswith("custody: ")]
            assert line.startswith("custody: stepping down: ")
            assert second.leader in line
            assert not any("Traceback" in line for line in service.logged)
            await load.stop()
            # The first load may have ended where none answered: between the two, nothing may be subscribed.
            after = Load(ask, "m", 4)
            after.start(10)
            await after.answered(50)
            await after.stop()
            await check_promises(ask, [*load.attempts, *after.attempts])
            health = await ask.done("query.health")
            assert (health["leader"], health["leading"]) == (second.leader, True)
        finally:
            await load.stop()
            await second.stop()


async def test_damaged_snapshots_are_warnings_and_the_log_is_folded(tmp_path: Path) -> None:
    async with served(tmp_path) as (broker, service, nc):
        await Caller(nc, POOL).lease(task_id="T1")
        end = (await read_log(nc, POOL))[-1].position
        assert await service.stop() == 0
        connection = await connect(broker.url, name="test", auth=broker.auth("writer"))
        store = NatsSnapshots(JetStreamApi(connection), POOL, fold_build())
        await store.put(end, b"no snapshot")
        prefix = f"{snapshots_bucket(POOL).prefix}{fold_build()}."
        jetstream = connection.client.jetstream()
        for place, manifest in (
            (f"{end - 1}.manifest", b'{"parts": Infinity}'),
            (f"{end - 2}.manifest", b"[" * 300_000),
            ("odd.manifest", b""),
            (f"{'9' * 25}.manifest", b"{}"),
        ):
            await jetstream.publish(prefix + place, manifest)
        await connection.close()
        await service.start()
        await service.ready()
        for position in (end, end - 1, end - 2):
            await service.line(rf"WARNING .*: the snapshot at position {position} is ignored: ")
        assert (await Caller(nc, POOL).done("query.task", {"task_id": "T1"}))["status"] == "assigned"
        assert not any("Traceback" in line for line in service.logged)
