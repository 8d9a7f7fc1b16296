"""Chains: single publishes sent together, of which any event log takes a prefix or all."""

import asyncio
from collections.abc import Awaitable

import pytest

from handlers.ports import AppendConflictError, AppendRejectedError, NewMessage
from tests.support.logs import Log, OpenLog, event, read, stored


def events(pool: str, count: int, name: str = "mine") -> list[NewMessage]:
    return [event(pool, f"task.{name}.noted", number) for number in range(count)]


def chain(
    log: Log, messages: list[NewMessage], at: int, acknowledged: list[int], *, behind: bool = False
) -> Awaitable[int]:
    return log.append_chain(messages, expected_position=at, behind=behind, on_stored=acknowledged.append)


@pytest.mark.parametrize("count", [1, 2, 64])
async def test_a_chain_is_stored_in_order_and_acknowledged_one_by_one(log: Log, pool: str, count: int) -> None:
    messages, acknowledged = events(pool, count), list[int]()

    assert await chain(log, messages, 0, acknowledged) == count

    assert acknowledged == list(range(1, count + 1))
    assert await read(log, 0, count) == [stored(position, each) for position, each in enumerate(messages, start=1)]


async def test_a_chain_that_begins_elsewhere_leaves_nothing(log: Log, pool: str) -> None:
    acknowledged: list[int] = []
    await log.append(events(pool, 2, "first"), expected_position=0)

    for expected in (0, 1, 3):
        with pytest.raises(AppendConflictError):
            await chain(log, events(pool, 3), expected, acknowledged)

    assert await log.last_position() == 2
    assert acknowledged == []


async def test_chains_follow_chains_that_are_not_acknowledged_yet(log: Log, pool: str) -> None:
    messages, acknowledged = events(pool, 9), list[int]()

    ends = await asyncio.gather(
        chain(log, messages[:4], 0, acknowledged),
        chain(log, messages[4:5], 4, acknowledged, behind=True),
        chain(log, messages[5:], 5, acknowledged, behind=True),
    )

    assert list(ends) == [4, 5, 9]
    assert acknowledged == [1, 2, 3, 4, 1, 1, 2, 3, 4]
    assert await read(log, 0, 9) == [stored(position, each) for position, each in enumerate(messages, start=1)]


async def test_what_follows_a_refused_chain_is_refused_although_its_position_comes_true(
    open_log: OpenLog, pool: str
) -> None:
    log, another = await open_log(), await open_log()
    await another.append(events(pool, 1, "theirs"), expected_position=0)

    outcomes = await asyncio.gather(
        chain(log, events(pool, 1), 0, []), chain(log, events(pool, 3), 1, [], behind=True), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [AppendConflictError, AppendConflictError]
    assert await log.last_position() == 1


async def test_a_chain_does_not_follow_another_send_of_the_same_messages(log: Log, pool: str) -> None:
    """What was sent behind a refused send stays dead, even if its predecessor is stored by a later one."""
    first, second = events(pool, 1), events(pool, 2, "second")
    with pytest.raises(AppendConflictError):
        await chain(log, events(pool, 1), 7, [])
    with pytest.raises(AppendConflictError):
        await chain(log, first, 5, [])
    await log.append(events(pool, 5, "others"), expected_position=0)

    await log.append(first, expected_position=5)

    with pytest.raises(AppendConflictError):
        await chain(log, second, 6, [], behind=True)
    assert await log.last_position() == 6


async def test_a_chain_may_be_sent_again_without_being_taken_for_a_duplicate(log: Log, pool: str) -> None:
    messages = events(pool, 3)
    await chain(log, messages, 0, [])

    with pytest.raises(AppendConflictError):
        await chain(log, messages, 0, [])
    assert await chain(log, messages, 3, []) == 6


async def test_chains_and_batches_take_turns(log: Log, pool: str) -> None:
    position = 0
    for count in (1, 3, 2, 5):
        position = await chain(log, events(pool, count), position, [])
        position = await log.append(events(pool, count), expected_position=position)

    assert position == 22
    with pytest.raises(AppendConflictError):
        await chain(log, events(pool, 2), position - 1, [])


async def test_a_chain_behind_none_is_refused(log: Log, pool: str) -> None:
    with pytest.raises(AppendConflictError, match="no chain was sent up to position 0"):
        await chain(log, events(pool, 1), 0, [], behind=True)

    await chain(log, events(pool, 2), 0, [])
    with pytest.raises(AppendConflictError, match="no chain was sent up to position 1"):
        await chain(log, events(pool, 1), 1, [], behind=True)
    assert await log.last_position() == 2


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_unacceptable_content_keeps_the_whole_chain_from_being_sent(log: Log, pool: str, place: int) -> None:
    messages = events(pool, 3)
    messages[place] = event(pool, "task.T1.noted", 1, **{"Nats-Msg-Id": "x"})

    with pytest.raises(AppendRejectedError):
        await chain(log, messages, 0, [])

    assert await log.last_position() == 0


async def test_of_two_chains_at_once_one_wins_whole(open_log: OpenLog, pool: str) -> None:
    one, two = await open_log(), await open_log()

    for position in range(0, 40, 4):
        outcomes = await asyncio.gather(
            chain(one, events(pool, 4, "one"), position, []),
            chain(two, events(pool, 4, "two"), position, []),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AppendConflictError", "int"]
        assert len({message.subject for message in await read(one, position, position + 4)}) == 1
