"""The faults that the log in memory can simulate are those of a real broker."""

import asyncio

import pytest

from handlers.ports import (
    AppendConflictError,
    AppendRejectedError,
    LogTruncatedError,
    LogUnavailableError,
    NewMessage,
    OutcomeUnknownError,
)
from tests.support.log_faults import Conflict, DroppedLater, LoseAck, LoseRequest, Reject, StoredLater, Unavailable
from tests.support.memory_log import MemoryEventLog, matches

MINE = [NewMessage("custody.p.evt.task.T1.queued", b"mine")]
THEIRS = [NewMessage("custody.p.evt.task.T2.queued", b"theirs")]


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog("p")


async def test_a_conflict_comes_from_what_another_appended_first(log: MemoryEventLog) -> None:
    log.fail_next(Conflict(THEIRS))

    with pytest.raises(AppendConflictError):
        await log.append(MINE, expected_position=0)

    assert [message.body for message in log.messages] == [b"theirs"]
    assert await log.append(MINE, expected_position=1) == 2


async def test_a_lost_acknowledgement_leaves_the_messages_stored(log: MemoryEventLog) -> None:
    log.fail_next(LoseAck())

    with pytest.raises(OutcomeUnknownError):
        await log.append(MINE, expected_position=0)

    with pytest.raises(AppendConflictError):
        await log.append(MINE, expected_position=0)
    found = await log.get(1)
    assert found is not None
    assert found.body == b"mine"


async def test_a_lost_request_leaves_nothing(log: MemoryEventLog) -> None:
    log.fail_next(LoseRequest())

    with pytest.raises(OutcomeUnknownError):
        await log.append(MINE, expected_position=0)

    assert await log.append(MINE, expected_position=0) == 1


async def test_what_is_stored_later_arrives_after_so_many_calls(log: MemoryEventLog) -> None:
    log.fail_next(StoredLater(after_calls=2))

    with pytest.raises(OutcomeUnknownError):
        await log.append(MINE, expected_position=0)

    assert [await log.last_position() for _ in range(4)] == [0, 0, 1, 1]


async def test_what_is_stored_later_may_come_too_late(log: MemoryEventLog) -> None:
    log.fail_next(StoredLater(after_calls=1))
    with pytest.raises(OutcomeUnknownError):
        await log.append(MINE, expected_position=0)

    assert await log.append(THEIRS, expected_position=0) == 1
    assert await log.last_position() == 1
    assert [message.body for message in log.messages] == [b"theirs"]


@pytest.mark.parametrize(("fault", "stored"), [(StoredLater(2, counted=True), True), (DroppedLater(2), False)])
async def test_what_a_leader_without_quorum_counts_conflicts_before_it_is_decided(
    log: MemoryEventLog, fault: StoredLater | DroppedLater, *, stored: bool
) -> None:
    log.fail_next(fault)
    with pytest.raises(OutcomeUnknownError):
        await log.append(MINE, expected_position=0)

    with pytest.raises(AppendConflictError):
        await log.append(MINE, expected_position=0)
    with pytest.raises(LogUnavailableError):
        await log.get(1)

    assert (await log.get(1) is not None) is stored


async def test_refusals_store_nothing(log: MemoryEventLog) -> None:
    log.fail_next(Unavailable(), Reject("too large"))

    with pytest.raises(LogUnavailableError):
        await log.append(MINE, expected_position=0)
    with pytest.raises(AppendRejectedError, match="too large"):
        await log.append(MINE, expected_position=0)

    assert await log.append(MINE, expected_position=0) == 1


async def test_reads_fail_as_often_as_told(log: MemoryEventLog) -> None:
    log.fail_reads(2)

    for _ in range(2):
        with pytest.raises(LogUnavailableError):
            await log.last_position()
    assert await log.last_position() == 0


async def test_a_lost_tail_shows_in_every_read(log: MemoryEventLog) -> None:
    log.append_foreign(*THEIRS, *THEIRS, *THEIRS)
    following = log.follow(after=0)
    assert [(await anext(following)).position for _ in range(3)] == [1, 2, 3]

    log.truncate_to(1)

    assert await log.last_position() == 1
    assert await log.get(2) is None
    with pytest.raises(LogTruncatedError):
        await anext(following)
    with pytest.raises(AppendConflictError):
        await log.append(MINE, expected_position=3)
    assert await log.append(MINE, expected_position=1) == 2


async def test_appends_can_be_held_on_their_way(log: MemoryEventLog) -> None:
    with log.held():
        appending = asyncio.create_task(log.append(MINE, expected_position=0))
        await log.until_arrived(1)
        assert await log.last_position() == 0
        assert not appending.done()

    assert await appending == 1
    assert log.append_sizes == [1]


@pytest.mark.parametrize(
    ("subject_filter", "subject", "expected"),
    [
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.*.c", "a.b.c", True),
        ("a.*", "a.b.c", False),
        ("a.b", "a.b", True),
        ("a.b.c", "a.b", False),
    ],
)
def test_filters_match_as_the_brokers_do(subject_filter: str, subject: str, *, expected: bool) -> None:
    assert matches(subject_filter, subject) is expected
