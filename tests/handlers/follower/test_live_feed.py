"""A live view kept by a follower: the present at once, and the history a moment later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from domain.rules import Rules
from domain.timestamps import format_timestamp
from handlers.follower import live_feed
from handlers.follower.follower import RETRY_S, Follower
from handlers.follower.live_feed import LiveFeed
from handlers.memory.snapshots import Snapshots
from handlers.ports import NewMessage
from infra.codec import CloudEventsCodec
from projections.live.history import History
from projections.live.recent import QUIET
from projections.live.service_health import ServiceHealth
from tests.handlers.follower.test_follower import Kept, Log, snapshot_at
from tests.support.scenario import OPS, Scenario
from tests.support.virtual_clock import VirtualClock

POOL = "default"


def night() -> Scenario:
    """A pool in which two tasks were done, and one is held."""
    s = Scenario()
    s.given("A", "register", capacity=5)
    for number in range(3):
        s.wait(10).given(OPS, "submit", task_id=f"T{number}")
        s.wait(10).given(OPS, "assign", task_id=f"T{number}", agent_id="A")
    for number in range(2):
        s.wait(10).given("A", "complete", task_id=f"T{number}", token=s.token(f"T{number}"))
    return s


class Site:
    def __init__(self, s: Scenario, snapshots: Snapshots | None = None) -> None:
        self.s = s
        self.log = Log(self.messages())
        self.clock = VirtualClock()
        self.follower = Follower(POOL, self.log, CloudEventsCodec(POOL), self.clock, Rules(), snapshots)
        self.feed = LiveFeed(self.follower)

    def messages(self, after: int = 0) -> list[NewMessage]:
        return [NewMessage(each.subject, each.body, dict(each.headers)) for each in self.s.messages[after:]]

    def append(self) -> None:
        self.log.append_foreign(*self.messages(len(self.log.messages)))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        work = [asyncio.create_task(self.follower.run()), asyncio.create_task(self.feed.run())]
        try:
            await self.clock.rest()
            yield
        finally:
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    def document(self) -> dict[str, Any]:
        self.feed.tick()
        return self.feed.document()


async def test_the_history_of_the_last_day_is_there() -> None:
    site = Site(night())
    async with site.running():
        document = site.document()
        assert [bar["end"] for bar in document["lanes"]["agents"]["A"]] == ["completed", "completed", None]
        notable = [recorded.position for recorded in site.s.log if type(recorded.event) not in QUIET]
        assert [line["position"] for line in document["recent"]] == notable[::-1]
        assert site.feed.view.history.activity.total("completed", site.s.now) == 2


async def test_with_a_snapshot_the_present_comes_first_and_then_the_history() -> None:
    s = night()
    store = Kept(_8=await snapshot_at(Log(Site(s).messages()), 8))
    site = Site(s, Snapshots(store, "build"))
    await site.follower.open()
    document = site.document()
    assert [bar["task_id"] for bar in document["lanes"]["agents"]["A"]] == ["T2"]
    before, had_history = site.feed.view.generation, site.feed.has_history
    async with site.running():
        assert (had_history, site.feed.has_history) == (False, True)
        assert site.feed.view.generation > before
        assert [bar["task_id"] for bar in site.document()["lanes"]["agents"]["A"]] == ["T0", "T1", "T2"]


async def test_what_comes_while_the_history_is_folded_is_part_of_it() -> None:
    site = Site(night())
    await site.follower.open()
    folding = asyncio.create_task(site.feed.run())
    following = asyncio.create_task(site.follower.run())
    for number in range(3, 8):
        site.s.wait(1).given(OPS, "submit", task_id=f"T{number}")
        site.append()
        await asyncio.sleep(0)
    await site.clock.rest()
    whole = History()
    whole.observe(site.s.log)
    whole.adopt(site.s.state)
    now = site.s.now
    history = site.feed.view.history
    assert history.activity.series(now, 5) == whole.activity.series(now, 5)
    assert history.lanes.document(now) == whole.lanes.document(now)
    assert history.recent.lines() == whole.recent.lines()
    for work in (folding, following):
        work.cancel()
    await asyncio.gather(folding, following, return_exceptions=True)


async def test_so_many_events_are_folded_for_it_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "MAX_HISTORY_EVENTS", 3)
    site = Site(night())
    async with site.running():
        site.feed.tick()
        assert site.feed.view.history.activity.total("events", site.s.now) == 3
        assert site.document()["strip"]["last_hour_since"] == format_timestamp(site.s.log[-3].time)


async def test_of_the_last_hour_nothing_is_missing_where_the_limit_is_not_reached() -> None:
    site = Site(night())
    await site.follower.open()
    async with site.running():
        assert site.document()["strip"]["last_hour_since"] is None


async def test_a_log_that_was_cut_has_another_history() -> None:
    site = Site(night())
    async with site.running():
        site.log.truncate_to(5)
        await site.clock.advance(2 * RETRY_S)
        assert len(site.document()["recent"]) == 5
        assert site.document()["position"] == 5


async def test_changes_are_gathered_from_tick_to_tick() -> None:
    site = Site(night())
    async with site.running():
        site.feed.tick()
        site.s.wait(10).given(OPS, "submit", task_id="T9")
        site.append()
        await site.clock.rest()
        change = site.feed.tick()
        assert (change["position"], change["strip"]["queued"]) == (len(site.s.log), 1)


async def test_the_service_s_health_is_part_of_it() -> None:
    site = Site(night())
    async with site.running():
        site.feed.health = ServiceHealth().answered(site.clock.now(), {"leader": "host:1:2"})
        assert site.document()["strip"]["served_by"] == "host:1:2"
