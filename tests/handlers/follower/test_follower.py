"""A copy that follows the log: what it is told, whether it is live, and what it does when the log is another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from domain.recorded import Recorded
from domain.rules import Rules
from handlers.follower.follower import BEHIND_S, LOST_CONTACT_S, POLL_S, RETRY_S, Follower, FollowerState
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.memory.snapshots import Snapshots, encode, image_of
from handlers.ports import LogUnavailableError, NewMessage, StoredMessage
from infra.codec import CloudEventsCodec
from tests.support.invariants import check_equal
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import OPS, Scenario
from tests.support.virtual_clock import VirtualClock

POOL = "default"
CODEC = CloudEventsCodec(POOL)


def messages_of(s: Scenario) -> list[NewMessage]:
    return [NewMessage(each.subject, each.body, dict(each.headers)) for each in s.messages]


def tasks(count: int, prefix: str = "t") -> list[NewMessage]:
    s = Scenario()
    for number in range(count):
        s.given(OPS, "submit", task_id=f"{prefix}{number}")
    return messages_of(s)


class Told:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.resets: list[int] = []
        self.positions: list[int] = []

    def on_reset(self, memory: Memory) -> None:
        self.resets.append(memory.state.position)

    def on_events(self, records: Sequence[Recorded], memory: Memory) -> None:
        self.positions += [recorded.position for recorded in records]
        assert memory.state.position >= records[-1].position


class Log(MemoryEventLog):
    """A log whose messages can be held back from those who follow, and which can be out of reach."""

    def __init__(self, messages: Sequence[NewMessage] = ()) -> None:
        super().__init__(POOL, messages)
        self.delivers = asyncio.Event()
        self.delivers.set()
        self.reachable = True

    async def last_position(self) -> int:
        if not self.reachable:
            raise LogUnavailableError("no answer")
        return await super().last_position()

    async def follow_chunks(self, *, after: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        async for chunk in super().follow_chunks(after=after):
            await self.delivers.wait()
            yield chunk


class Site:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.log = Log()
        self.told = Told()
        self.follower = self.new_follower()

    def new_follower(self, snapshots: Snapshots | None = None) -> Follower:
        return Follower(POOL, self.log, CODEC, self.clock, Rules(), snapshots, [self.told])

    def append(self, messages: Sequence[NewMessage]) -> None:
        self.log.append_foreign(*messages)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Follower]:
        work = asyncio.create_task(self.follower.run())
        await self.clock.rest()
        try:
            yield self.follower
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def check(self) -> None:
        """Check that the follower has what a fold of the log comes to."""
        memory = Memory(POOL, Rules(), CODEC, outcomes=0)
        await catch_up(memory, self.log)
        check_equal(self.follower.memory.state, memory.state)
        assert self.follower.memory.statistics.totals() == memory.statistics.totals()
        assert self.follower.memory.tail_hash == memory.tail_hash


@pytest.fixture
def site() -> Site:
    return Site()


async def test_it_begins_with_what_there_is_and_follows_what_comes(site: Site) -> None:
    log = tasks(9)
    site.append(log[:5])
    assert site.follower.state is FollowerState.STARTING
    async with site.running() as follower:
        assert (follower.state, follower.position, follower.behind_events) == (FollowerState.LIVE, 5, 0)
        site.append(log[5:])
        await site.clock.rest()
        assert (follower.state, follower.position) == (FollowerState.LIVE, 9)
    assert (site.told.resets, site.told.positions) == ([5], [6, 7, 8, 9])
    await site.check()


async def test_one_that_goes_on_from_a_position_is_told_of_every_later_event(site: Site) -> None:
    site.append(tasks(9))
    await site.follower.open(until=4)
    async with site.running():
        pass
    assert (site.told.resets, site.told.positions) == ([4], [5, 6, 7, 8, 9])
    await site.check()


async def test_an_empty_log_is_waited_on(site: Site) -> None:
    async with site.running() as follower:
        assert (follower.state, follower.position, site.told.resets) == (FollowerState.LIVE, 0, [0])
        site.append(tasks(1))
        await site.clock.rest()
    assert site.told.positions == [1]


async def test_messages_that_every_fold_skips_are_skipped(site: Site) -> None:
    log = tasks(3)
    broken = log[1]._replace(body=b"{}")
    async with site.running() as follower:
        site.append([log[0], broken, log[2]])
        await site.clock.rest()
        assert (follower.position, follower.memory.unreadable_count) == (3, 1)
    assert site.told.positions == [1, 3]


async def test_it_says_that_the_broker_is_out_of_reach_and_comes_back_by_itself(site: Site) -> None:
    log = tasks(2)
    site.append(log[:1])
    async with site.running() as follower:
        site.log.reachable = False
        await site.clock.advance(LOST_CONTACT_S - POLL_S)
        assert follower.state is FollowerState.LIVE
        await site.clock.advance(2 * POLL_S)
        assert (follower.state, follower.trouble) == (FollowerState.DISCONNECTED, "no answer")
        site.log.reachable = True
        site.append(log[1:])
        await site.clock.advance(POLL_S)
        assert (follower.state, follower.trouble, follower.position) == (FollowerState.LIVE, "", 2)
        assert follower.last_contact_s is not None
        assert follower.last_contact_s <= POLL_S


async def test_it_waits_for_a_broker_that_is_not_there_yet(site: Site) -> None:
    site.append(tasks(2))
    site.log.reachable = False
    async with site.running() as follower:
        await site.clock.advance(10)
        assert (follower.state, follower.position) == (FollowerState.STARTING, 0)
        assert follower.last_contact_s is None
        site.log.reachable = True
        await site.clock.advance(RETRY_S)
        assert (follower.state, follower.position) == (FollowerState.LIVE, 2)


async def test_it_says_that_it_is_behind_when_known_events_do_not_come(site: Site) -> None:
    log = tasks(9)
    async with site.running() as follower:
        site.log.delivers.clear()
        site.append(log)
        await site.clock.advance(POLL_S)
        assert (follower.state, follower.behind_events) == (FollowerState.LIVE, 9)
        await site.clock.advance(BEHIND_S + POLL_S)
        assert (follower.state, follower.behind_events) == (FollowerState.BEHIND, 9)
        site.log.delivers.set()
        await site.clock.advance(POLL_S)
        assert (follower.state, follower.behind_events) == (FollowerState.LIVE, 0)


async def test_one_that_keeps_up_with_a_busy_log_is_live(site: Site) -> None:
    log = tasks(40)
    async with site.running() as follower:
        for message in log:
            site.append([message])
            await site.clock.advance(POLL_S)
            assert follower.state is FollowerState.LIVE


async def test_a_log_that_lost_its_tail_is_folded_anew(site: Site) -> None:
    site.append(tasks(5))
    async with site.running() as follower:
        before = follower.memory
        site.log.truncate_to(3)
        await site.clock.rest()
        assert follower.state is FollowerState.STARTING
        await site.clock.advance(RETRY_S)
        assert (follower.state, follower.position, follower.behind_events) == (FollowerState.LIVE, 3, 0)
        assert follower.memory is not before
        site.append(tasks(3, "u")[:1])
        await site.clock.rest()
    assert site.told.resets == [5, 3]
    await site.check()


async def test_a_log_that_was_replaced_by_a_shorter_one_is_folded_anew(site: Site) -> None:
    site.append(tasks(5))
    async with site.running() as follower:
        site.log.replace(tasks(2, "other"))
        site.log.truncate_to(2)
        await site.clock.advance(RETRY_S)
        assert set(follower.memory.state.tasks) == {"other0", "other1"}
    await site.check()


class Kept:
    """Snapshots in memory."""

    def __init__(self, **snapshots: bytes) -> None:
        self.kept = {int(name[1:]): document for name, document in snapshots.items()}

    async def positions(self, until: int) -> list[int]:
        return sorted((each for each in self.kept if each <= until), reverse=True)

    async def get(self, position: int) -> bytes:
        return self.kept[position]

    async def put(self, position: int, document: bytes) -> None:
        self.kept[position] = document


async def snapshot_at(log: MemoryEventLog, position: int) -> bytes:
    memory = Memory(POOL, Rules(), CODEC, outcomes=10)
    await catch_up(memory, log, until=position)
    return encode(image_of(memory), "build")


async def test_it_begins_with_a_snapshot(site: Site) -> None:
    site.append(tasks(9))
    store = Kept(_6=await snapshot_at(site.log, 6), _8=b"damaged")
    site.follower = site.new_follower(Snapshots(store, "build"))
    read = site.log.messages_read
    async with site.running() as follower:
        assert follower.position == 9
    assert site.log.messages_read - read == 3
    await site.check()


async def test_a_snapshot_of_another_log_is_not_used(site: Site) -> None:
    other = Log(tasks(9, "other"))
    site.append(tasks(9))
    site.follower = site.new_follower(Snapshots(Kept(_6=await snapshot_at(other, 6)), "build"))
    async with site.running():
        pass
    await site.check()


async def test_the_pools_time_is_never_before_its_last_event(site: Site) -> None:
    s = Scenario()
    s.wait(500).given(OPS, "submit", task_id="T")
    site.append(messages_of(s))
    async with site.running() as follower:
        assert follower.now == s.now
        await site.clock.advance(600)
        assert follower.now == site.clock.now()


async def test_while_it_is_disconnected_its_time_stands_still(site: Site) -> None:
    site.append(tasks(1))
    async with site.running() as follower:
        site.log.reachable = False
        seen = []
        for _ in range(40):
            await site.clock.advance(POLL_S / 2)
            seen.append((follower.state, follower.now))
        assert [at for _, at in seen] == sorted(at for _, at in seen), "it never goes back"
        still = {at for state, at in seen if state is FollowerState.DISCONNECTED}
        assert len(still) == 1
        site.log.reachable = True
        await site.clock.advance(POLL_S)
        assert follower.now == site.clock.now()
    ended_at = site.clock.now()
    assert follower.state is FollowerState.DISCONNECTED
    await site.clock.advance(10)
    assert follower.now == ended_at
    async with site.running():
        assert (follower.state, follower.now) == (FollowerState.LIVE, site.clock.now())


async def test_a_fault_of_a_listener_is_not_swallowed(site: Site) -> None:
    class Broken(Told):
        def on_events(self, records: Sequence[Recorded], memory: Memory) -> None:
            raise RuntimeError("broken")

    site.follower.listeners.append(Broken())
    work: asyncio.Task[Any] = asyncio.create_task(site.follower.run())
    await site.clock.rest()
    site.append(tasks(1))
    with pytest.raises(RuntimeError, match="broken"):
        await work
