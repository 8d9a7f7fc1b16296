"""The past of a followed log: its state at a position, and its events between two."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.recorded import Recorded
from domain.rules import Rules
from handlers.follower import past
from handlers.follower.follower import Follower
from handlers.follower.past import memory_at, position_of, records_between
from handlers.ports import LogTruncatedError, NewMessage
from infra.codec import CloudEventsCodec
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import OPS, START, Scenario
from tests.support.virtual_clock import VirtualClock

POOL = "default"


def followed(count: int) -> Follower:
    """A follower of a log with one task a minute."""
    s = Scenario()
    for number in range(count):
        s.at(60 * number).given(OPS, "submit", task_id=f"t{number}")
    messages = [NewMessage(each.subject, each.body, dict(each.headers)) for each in s.messages]
    return Follower(POOL, MemoryEventLog(POOL, messages), CloudEventsCodec(POOL), VirtualClock(), Rules())


async def all_between(follower: Follower, after: int, until: int) -> list[Recorded]:
    slices = records_between(follower.log, follower.codec, after=after, until=until)
    return [recorded async for records in slices for recorded in records]


@pytest.mark.parametrize("position", [0, 1, 7])
async def test_the_state_at_a_position(position: int) -> None:
    memory = await memory_at(followed(7), position)
    assert (memory.state.position, len(memory.state.tasks)) == (position, position)


async def test_there_is_no_state_beyond_the_end() -> None:
    with pytest.raises(LogTruncatedError):
        await memory_at(followed(3), 4)


@pytest.mark.parametrize(("seconds", "position"), [(-1, 0), (0, 1), (59, 1), (60, 2), (10_000, 7)])
async def test_the_position_of_a_time(seconds: float, position: int) -> None:
    assert await position_of(followed(7), START + timedelta(seconds=seconds)) == position


async def test_the_events_between_two_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "SLICE", 4)
    found = await all_between(followed(15), 2, 13)
    assert [recorded.position for recorded in found] == list(range(3, 14))


async def test_events_that_cannot_be_read_are_left_out() -> None:
    follower = followed(3)
    log = follower.log
    assert isinstance(log, MemoryEventLog)
    stored = log.messages
    messages = [NewMessage(each.subject, b"{}" if each.position == 2 else each.body, each.headers) for each in stored]
    log.replace(messages)
    assert [recorded.position for recorded in await all_between(follower, 0, 3)] == [1, 3]
