"""Keeping a read model in step: outages, a second projector, a log that is replaced, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from domain.recorded import Recorded
from domain.rules import Rules
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.ports import LogUnavailableError, NewMessage, StoredMessage
from handlers.projector.projector import CHECK_S, STANDBY_S, Projector
from handlers.projector.read_model import (
    OutdatedError,
    ReadModelError,
    ReadModelUnavailableError,
    Source,
    Watermark,
    WatermarkMovedError,
)
from infra.codec import CloudEventsCodec
from projections.state.pool_state import PoolState
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import OPS, Scenario
from tests.support.virtual_clock import VirtualClock

POOL = "default"
CODEC = CloudEventsCodec(POOL)


def tasks(count: int, prefix: str = "t") -> list[NewMessage]:
    s = Scenario()
    for number in range(count):
        s.given(OPS, "submit", task_id=f"{prefix}{number}")
    return [NewMessage(each.subject, each.body, dict(each.headers)) for each in s.messages]


class Positions:
    """A projection that gives the positions it saw."""

    def __init__(self, _state: PoolState) -> None:
        self._seen: list[int] = []

    def apply(self, recorded: Recorded, body: bytes) -> None:
        self._seen.append(recorded.position)

    def skip(self, position: int, subject: str, body: bytes, reason: str, recorded: Recorded | None) -> None:
        self._seen.append(-position)

    def take_changes(self) -> list[int]:
        seen, self._seen = self._seen, []
        return seen


class Kept:
    """A read model in memory: the positions that were written, and a watermark that several connections share."""

    name = "kept"

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.at = Watermark()
        self.destroyed = False
        self.unavailable = 0
        """So many calls get no answer."""
        self.behind = 0
        """So often it has to go further before it is fit to be read."""
        self.open = asyncio.Event()
        """While it is not set, a write takes its time."""
        self.open.set()
        self.writes: list[int] = []
        """How many events each brought."""

    async def watermark(self) -> Watermark:
        await self._call()
        return self.at

    async def write(self, changes: list[int], before: Watermark, after: Watermark) -> None:
        await self._call()
        await self.open.wait()
        if not self.at.same_position(before):
            raise WatermarkMovedError
        self.rows += changes
        self.writes.append(len(changes))
        self.at = after

    async def ensure_kept(self) -> None:
        if self.destroyed:
            raise OutdatedError("kept: it was destroyed")

    async def finish_catch_up(self, *, outdated: Watermark | None = None) -> Watermark | None:
        await self._call()
        self.behind -= 1
        return None if self.behind < 0 else self.at

    async def _call(self) -> None:
        await asyncio.sleep(0)
        if self.unavailable:
            self.unavailable -= 1
            raise ReadModelUnavailableError("the database is away")


class Site:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.log = MemoryEventLog(POOL)
        self.kept = Kept()
        self.told: list[str] = []
        self.folded_anew = 0

    def projector(self, *, max_events: int = 2) -> Projector[list[int]]:
        async def fold_until(position: int) -> Memory:
            self.folded_anew += 1
            memory = Memory(POOL, Rules(), CODEC, outcomes=0)
            await catch_up(memory, self.log, until=position)
            return memory

        source = Source(self.log, CODEC, fold_until)
        return Projector(source, self.kept, Positions, self.clock, self.told.append, max_events=max_events)

    def append(self, messages: list[NewMessage]) -> None:
        self.log.append_foreign(*messages)

    async def following(self, *, max_events: int = 2) -> tuple[Projector[list[int]], asyncio.Task[None]]:
        projector = self.projector(max_events=max_events)
        work = asyncio.create_task(projector.run(follow=True))
        await self.clock.rest()
        return projector, work


@pytest.fixture
def site() -> Site:
    return Site()


async def test_it_follows_what_comes(site: Site) -> None:
    log = tasks(9)
    site.append(log[:5])
    projector, work = await site.following()
    assert site.kept.rows == [1, 2, 3, 4, 5]
    assert projector.following
    site.append(log[5:])
    await site.clock.rest()
    assert site.kept.rows == list(range(1, 10))
    projector.stop()
    await site.clock.rest()
    assert work.done()
    assert (projector.watermark.position, projector.log_end, projector.written, site.told) == (9, 9, 9, [])


async def test_an_empty_log_is_waited_on(site: Site) -> None:
    projector, work = await site.following()
    site.append(tasks(1))
    await site.clock.rest()
    assert site.kept.rows == [1]
    assert site.kept.at.log_id == site.kept.at.hash
    projector.stop()
    await work


async def test_what_comes_during_a_write_goes_into_the_next_one_as_far_as_there_is_room(site: Site) -> None:
    log = tasks(12)
    projector, work = await site.following(max_events=6)
    site.kept.open.clear()
    for each in log:
        site.append([each])
        await site.clock.rest()
    site.kept.open.set()
    await site.clock.rest()
    assert site.kept.writes[:2] == [1, 6]
    assert site.kept.rows == list(range(1, 13))
    projector.stop()
    await work


async def test_catching_up_takes_as_few_writes_as_it_can(site: Site) -> None:
    site.append(tasks(12))
    await site.projector(max_events=5).run(follow=False)
    assert site.kept.writes == [5, 5, 2]


async def test_it_ends_when_what_is_being_written_is_written(site: Site) -> None:
    log = tasks(6)
    projector, work = await site.following(max_events=6)
    site.kept.open.clear()
    site.append(log)
    await site.clock.rest()
    projector.stop()
    await site.clock.rest()
    assert not work.done()
    site.kept.open.set()
    await asyncio.wait_for(work, 5)
    assert (site.kept.rows, projector.watermark.position, projector.written) == ([1], 1, 1)


async def test_what_was_folded_when_the_broker_failed_is_written_and_not_folded_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*, after: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        async for chunk in following(after=after):
            yield chunk
            if chunk[-1].position == 4:
                raise LogUnavailableError("no broker")

    following = site.log.follow_chunks
    monkeypatch.setattr(site.log, "follow_chunks", failing)
    projector, work = await site.following(max_events=6)
    site.kept.open.clear()
    site.append(tasks(6))
    await site.clock.rest()
    site.kept.open.set()
    await site.clock.advance(30)
    assert site.kept.rows == [1, 2, 3, 4, 5, 6]
    assert site.told == ["no broker; trying again", "it works again, at position 6"]
    assert site.folded_anew == 1
    projector.stop()
    await work


async def test_a_read_model_that_does_not_answer_is_told_of_once(site: Site) -> None:
    log = tasks(6)
    site.append(log[:2])
    projector, work = await site.following()
    site.kept.unavailable = 9
    site.append(log[2:])
    await site.clock.advance(60)
    assert site.kept.rows == [1, 2, 3, 4, 5, 6]
    assert site.told == ["the database is away; trying again", "it works again, at position 3"]
    projector.stop()
    await work


async def test_it_ends_in_the_middle_of_an_outage(site: Site) -> None:
    site.append(tasks(2))
    site.kept.unavailable = 1_000_000
    projector, work = await site.following()
    await site.clock.advance(30)
    projector.stop()
    await site.clock.rest()
    assert work.done()
    assert work.exception() is None
    assert site.kept.rows == []


async def test_who_only_wants_to_catch_up_does_not_wait_for_ever(site: Site) -> None:
    site.append(tasks(2))
    site.kept.unavailable = 1_000_000
    work = asyncio.create_task(site.projector().run(follow=False))
    await site.clock.advance(60)
    with pytest.raises(ReadModelUnavailableError, match="the database is away"):
        await work
    assert 20 < site.clock.elapsed_s <= 60


async def test_a_broker_that_does_not_answer_is_waited_for(site: Site) -> None:
    site.append(tasks(3))
    site.log.fail_reads(4)
    projector, work = await site.following()
    await site.clock.advance(30)
    assert site.kept.rows == [1, 2, 3]
    assert [each.rpartition("; ")[2] for each in site.told] == ["trying again", "it works again, at position 2"]
    projector.stop()
    await work


async def test_what_is_not_fit_to_be_read_goes_further(site: Site) -> None:
    site.kept.behind = 3
    site.append(tasks(1))
    await asyncio.wait_for(site.projector().run(follow=False), 5)
    assert site.kept.behind == -1


async def test_it_ends_while_the_read_model_is_made_fit_to_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(site.kept, "finish_catch_up", never)
    site.append(tasks(1))
    projector, work = await site.following()
    assert site.kept.rows == [1]
    projector.stop()
    await asyncio.wait_for(work, 5)


async def test_the_second_projector_stands_by_and_takes_over(site: Site) -> None:
    log = tasks(12)
    site.append(log[:4])
    first, one = await site.following()
    second, other = await site.following()
    site.append(log[4:6])
    await site.clock.rest()
    assert any("standing by" in each for each in site.told)
    assert first.standing_by != second.standing_by
    site.append(log[6:8])
    await site.clock.advance(10 * STANDBY_S)
    assert site.kept.rows == list(range(1, 9))
    assert not any("taking over" in each for each in site.told)
    working, waiting = (first, second) if first.written > second.written else (second, first)
    working.stop()
    await site.clock.rest()
    site.append(log[8:])
    await site.clock.advance(3 * STANDBY_S)
    assert site.kept.rows == list(range(1, 13))
    assert site.told[-1] == "the other projector stopped at position 8: taking over"
    waiting.stop()
    await asyncio.gather(one, other)


async def test_a_log_that_lost_its_tail_is_noticed_while_following(site: Site) -> None:
    site.append(tasks(4))
    _, work = await site.following()
    site.log.truncate_to(2)
    await site.clock.rest()
    with pytest.raises(OutdatedError, match="kept: the log lost its tail or was replaced"):
        await work


async def test_a_log_that_was_replaced_meanwhile_is_noticed_before_the_next_write(site: Site) -> None:
    site.append(tasks(4))
    projector, work = await site.following()
    site.log.replace(tasks(4, "other"))
    projector.request_log_check()
    site.append(tasks(5, "other")[4:])
    await site.clock.rest()
    with pytest.raises(OutdatedError, match="kept: it was made from another log"):
        await work
    assert site.kept.rows == [1, 2, 3, 4]


async def test_what_is_refused_for_good_ends_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise ReadModelError("no rights")

    site.append(tasks(2))
    monkeypatch.setattr(site.kept, "write", refuse)
    with pytest.raises(ReadModelError, match="no rights"):
        await site.projector().run(follow=False)


async def test_what_every_fold_skips_is_counted_in_the_watermark(site: Site) -> None:
    log = tasks(3)
    site.append([log[0], NewMessage("custody.default.evt.task.x.junk", b"junk"), log[1]])
    projector = site.projector()
    await projector.run(follow=False)
    assert site.kept.rows == [1, -2, -3]
    assert projector.watermark.skipped == 2


async def test_what_is_destroyed_while_nothing_happens_is_noticed(site: Site) -> None:
    site.append(tasks(3))
    _, work = await site.following()
    site.kept.destroyed = True
    await site.clock.advance(CHECK_S)
    with pytest.raises(OutdatedError, match="it was destroyed"):
        await work
