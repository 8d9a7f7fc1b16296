"""Finding a moment in the log looks at a handful of its messages."""

from datetime import timedelta

import pytest

from handlers.memory.positions import position_at
from handlers.ports import NewMessage, StoredMessage
from infra.codec import CloudEventsCodec
from tests.support.memory_log import MemoryEventLog
from tests.support.scenario import OPS, START, Scenario

CODEC = CloudEventsCodec("default")


class Counting(MemoryEventLog):
    """Counts the looks."""

    looks = 0

    async def get(self, position: int) -> StoredMessage | None:
        self.looks += 1
        return await super().get(position)


@pytest.fixture(scope="module")
def messages() -> list[NewMessage]:
    """500 tasks, a second apart; those of one ten have the same time."""
    s = Scenario()
    for number in range(500):
        s.at(number // 10 * 10).given(OPS, "submit", task_id=f"T{number}")
    return [NewMessage(each.subject, each.body, each.headers) for each in s.messages]


@pytest.fixture
def log(messages: list[NewMessage]) -> Counting:
    return Counting("default", messages)


@pytest.mark.parametrize(
    ("seconds", "found"), [(-1, 0), (0, 10), (5, 10), (10, 20), (489.9, 490), (490, 500), (9_999, 500)]
)
async def test_it_is_the_last_event_at_or_before(log: Counting, seconds: float, found: int) -> None:
    at = START + timedelta(seconds=seconds)
    assert await position_at(log, CODEC, at, first=1, last=500) == found
    assert log.looks <= 10


async def test_a_log_may_begin_late(log: Counting) -> None:
    assert await position_at(log, CODEC, START, first=101, last=500) == 100
    assert await position_at(log, CODEC, START + timedelta(seconds=200), first=101, last=500) == 210


async def test_an_empty_log_holds_nothing() -> None:
    assert await position_at(MemoryEventLog("default"), CODEC, START, first=1, last=0) == 0


async def test_what_cannot_be_read_is_passed_over(log: Counting) -> None:
    unreadable = [NewMessage(f"custody.default.evt.task.T{number}.odd", b"junk") for number in range(5)]
    log.append_foreign(*unreadable)
    for seconds, found in ((480, 490), (490, 505)):
        at = START + timedelta(seconds=seconds)
        assert await position_at(log, CODEC, at, first=1, last=505) == found
