"""Messages staged for an append are not in the log before it, and never if that append is not made."""

import pytest

from handlers.ports import MAX_BATCH_MESSAGES, AppendConflictError, AppendRejectedError, NewMessage
from tests.support.logs import Log, OpenLog, event, fill, read, stored


def events(pool: str, count: int, kind: str = "noted") -> list[NewMessage]:
    return [event(pool, f"task.T{number}.{kind}", number) for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 100, MAX_BATCH_MESSAGES])
async def test_what_was_staged_is_appended_whole(log: Log, pool: str, count: int) -> None:
    messages = events(pool, count)
    log.stage(messages, expected_position=0)
    assert await log.last_position() == 0

    assert await log.append(messages, expected_position=0) == count

    assert await read(log, 0, count) == [stored(position, each) for position, each in enumerate(messages, start=1)]


async def test_it_may_grow_until_it_is_appended(log: Log, pool: str) -> None:
    everything = events(pool, 300)
    messages: list[NewMessage] = []
    for size in (1, 2, 40, 41, 200, 299):
        messages += everything[len(messages) : size]
        log.stage(messages, expected_position=0)
    messages += everything[len(messages) :]

    assert await log.append(messages, expected_position=0) == 300

    assert await read(log, 0, 300) == [stored(position, each) for position, each in enumerate(everything, start=1)]


async def test_it_is_staged_on_a_position_that_the_append_in_flight_makes_true(log: Log, pool: str) -> None:
    first, second = events(pool, 50, "first"), events(pool, 50, "second")
    log.stage(second, expected_position=50)
    await log.append(first, expected_position=0)

    log.stage(second, expected_position=50)
    assert await log.append(second, expected_position=50) == 100


@pytest.mark.parametrize("count", [1, 100])
async def test_another_append_instead_leaves_nothing_of_it(log: Log, pool: str, count: int) -> None:
    staged, instead = events(pool, 100, "staged"), events(pool, count, "instead")
    log.stage(staged, expected_position=0)

    assert await log.append(instead, expected_position=0) == count
    assert await log.append(staged, expected_position=count) == count + 100

    assert [each.subject for each in await read(log, 0, count + 100)] == [each.subject for each in (*instead, *staged)]


async def test_the_same_list_at_another_position_is_another_append(log: Log, pool: str) -> None:
    messages = events(pool, 100)
    log.stage(messages, expected_position=7)

    assert await log.append(messages, expected_position=0) == 100


async def test_a_conflict_refuses_what_was_staged_too(open_log: OpenLog, pool: str) -> None:
    log, rival = await open_log(), await open_log()
    messages = events(pool, 100)
    log.stage(messages, expected_position=0)
    await fill(rival, pool, 1)

    with pytest.raises(AppendConflictError):
        await log.append(messages, expected_position=0)

    assert await log.last_position() == 1
    assert await log.append(messages, expected_position=1) == 101


@pytest.mark.parametrize("place", [0, 50, 99])
async def test_unacceptable_content_is_rejected_by_the_append(log: Log, pool: str, place: int) -> None:
    messages = events(pool, 100)
    messages[place] = NewMessage(f"custody.{pool}.evt.task.*.noted", b"")
    log.stage(messages, expected_position=0)

    with pytest.raises(AppendRejectedError):
        await log.append(messages, expected_position=0)

    assert await log.last_position() == 0
    assert await log.append(events(pool, 100), expected_position=0) == 100
