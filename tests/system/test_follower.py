"""A copy that follows a real log: restarts of the broker and of the service, and a log that lost its tail or is new."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from domain.recorded import Recorded
from domain.rules import Rules
from handlers.follower.follower import Follower, FollowerState
from handlers.follower.live_feed import LiveFeed
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.memory.snapshots import Snapshots
from infra.broker.embedded import EmbeddedBroker
from infra.codec import CloudEventsCodec
from infra.host.clock import SystemClock
from infra.nats.api import JetStreamApi
from infra.nats.connection import NatsConnection, connect
from infra.nats.event_log import NatsEventLog
from infra.nats.snapshot_store import NatsSnapshots
from infra.nats.stream import ensure_stream, stream_name
from infra.service.fold_build import fold_build
from projections.live.activity import DAY_MINUTES
from tests.support.invariants import check_equal
from tests.support.until import until
from tests.system.caller import Caller
from tests.system.processes import operator, serve
from tests.system.projectors import POOL, story

pytestmark = [pytest.mark.system]

CODEC = CloudEventsCodec(POOL)
EVENTS = 600
AGENTS = 20


class Site:
    """A follower on one connection, and a log to append to on another."""

    def __init__(self, follower: Follower, log: NatsEventLog, connection: NatsConnection) -> None:
        self.follower = follower
        self.log = log
        self.connection = connection
        self.feed = LiveFeed(follower)
        self.positions: list[int] = []
        self.resets = 0
        follower.listeners.append(self)

    def on_reset(self, memory: Memory) -> None:
        self.resets += 1
        self.positions = list(range(1, memory.state.position + 1))

    def on_events(self, records: Sequence[Recorded], memory: Memory) -> None:
        self.positions += [recorded.position for recorded in records]

    async def live_at(self, position: int) -> None:
        """Wait until it is live there, and check that it is the fold of the log, each event told once."""

        async def live() -> bool:
            return self.follower.state is FollowerState.LIVE and self.follower.position == position

        await until(f"live at {position}", live, lambda: (self.follower.state, self.follower.position))
        memory = Memory(POOL, Rules(), CODEC, outcomes=0)
        await catch_up(memory, self.log, until=position)
        check_equal(self.follower.memory.state, memory.state)
        assert self.positions == list(range(1, position + 1))

    async def in_state(self, state: FollowerState) -> None:
        async def reached() -> bool:
            return self.follower.state is state

        await until(state.value, reached, lambda: (self.follower.state, self.follower.position))


@asynccontextmanager
async def following(broker: EmbeddedBroker) -> AsyncGenerator[Site]:
    """A follower of the pool's log at a broker, as its operator, until the block is left."""
    connection = await connect(broker.url, name="follower", auth=broker.auth("operator"))
    writing = await connect(broker.url, name="writer", auth=broker.auth("writer"))
    await ensure_stream(writing, POOL)
    log = await NatsEventLog.open(connection, POOL)
    writer = await NatsEventLog.open(writing, POOL)
    snapshots = Snapshots(NatsSnapshots(JetStreamApi(connection), POOL, fold_build()), fold_build())
    follower = Follower(POOL, log, CODEC, SystemClock(), Rules(), snapshots)
    site = Site(follower, writer, writing)
    work = [asyncio.create_task(follower.run()), asyncio.create_task(site.feed.run())]
    try:
        yield site
    finally:
        for each in work:
            each.cancel()
        ended = await asyncio.gather(*work, return_exceptions=True)
        for opened in (log, writer, connection, writing):
            await opened.close()
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def test_it_lives_through_stops_and_kills_of_the_broker(users_broker: EmbeddedBroker) -> None:
    # The history is that of the last day.
    messages = story(EVENTS, agents=AGENTS, start=SystemClock().now() - timedelta(hours=1))
    third = EVENTS // 3
    async with following(users_broker) as site:
        for number, end in enumerate((users_broker.stop, users_broker.kill, None)):
            await site.log.append(messages[number * third : (number + 1) * third], expected_position=number * third)
            await site.live_at((number + 1) * third)
            if end is not None:
                await end()
                await site.in_state(FollowerState.DISCONNECTED)
                site.feed.tick()
                assert site.feed.document()["mode"] == "disconnected"
                await users_broker.start()
                assert await site.connection.wait_connected()
        assert site.resets == 1

        async def told() -> bool:
            return site.feed.has_history

        await until("the history of the last day", told, lambda: site.follower.position)
        assert site.feed.view.history.activity.total("events", site.follower.now, DAY_MINUTES) == EVENTS


async def replace(site: Site, count: int) -> None:
    """Delete the stream, and make another one with other events."""
    await JetStreamApi(site.connection).call(f"STREAM.DELETE.{stream_name(POOL)}")
    await ensure_stream(site.connection, POOL)
    await site.log.append(story(count, agents=AGENTS + 1), expected_position=0)


@pytest.mark.parametrize("count", [EVENTS // 2, 2 * EVENTS], ids=["a shorter one", "a longer one"])
async def test_another_log_is_folded_anew(own_broker: EmbeddedBroker, count: int) -> None:
    async with following(own_broker) as site:
        await site.log.append(story(EVENTS, agents=AGENTS), expected_position=0)
        await site.live_at(EVENTS)
        before = site.follower.memory
        await replace(site, min(count, 1000))
        await site.live_at(min(count, 1000))
        assert site.follower.memory is not before
        assert len(site.follower.memory.state.agents) == AGENTS + 1


async def test_a_log_that_lost_its_tail_is_folded_anew(own_broker: EmbeddedBroker, tmp_path: Path) -> None:
    messages = story(EVENTS, agents=AGENTS)
    jetstream = own_broker.directory.broker / "jetstream"
    async with following(own_broker) as site:
        await site.log.append(messages[: EVENTS // 2], expected_position=0)
        await site.live_at(EVENTS // 2)
        await own_broker.stop()
        shutil.copytree(jetstream, tmp_path / "earlier")
        await own_broker.start()
        assert await site.connection.wait_connected()
        await site.log.append(messages[EVENTS // 2 :], expected_position=EVENTS // 2)
        await site.live_at(EVENTS)
        await own_broker.kill()
        shutil.rmtree(jetstream)
        shutil.copytree(tmp_path / "earlier", jetstream)
        await own_broker.start()
        await site.live_at(EVENTS // 2)
        assert site.resets == 2


async def test_it_needs_no_service_and_follows_the_next_one(users_broker: EmbeddedBroker, tmp_path: Path) -> None:
    async with serve(users_broker, tmp_path, pool=POOL) as service, following(users_broker) as site:
        await service.ready()
        async with operator(users_broker) as nc:
            ask = Caller(nc, POOL)
            await ask.done("ops.submit", task_id="T1")
            await service.kill()
            await site.live_at(await site.log.last_position())
            first = site.follower.memory.state.pool.leader
            await service.start()
            await service.ready()
            submitted = await ask.done("ops.submit", task_id="T2")
            assert submitted is not None
        await service.stop()

        async def both() -> bool:
            return set(site.follower.memory.state.tasks) == {"T1", "T2"}

        await until("both tasks", both, lambda: site.follower.position)
        await site.live_at(await site.log.last_position())
        assert site.follower.memory.state.pool.leader != first
        assert [line["kind"] for line in site.feed.view.history.recent.lines()].count("pool.led") == 2
