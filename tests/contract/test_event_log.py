"""Appends to any event log: one suite for the one in memory and the one on a real broker."""

import asyncio

import pytest

from handlers.ports import MAX_BATCH_MESSAGES, AppendConflictError, AppendRejectedError, NewMessage
from tests.support.cases import case
from tests.support.logs import Log, OpenLog, event, fill, read, stored


async def test_an_empty_log_has_nothing_at_any_position(log: Log, pool: str) -> None:
    assert await log.last_position() == 0
    assert await log.get(0) is None
    assert await log.get(1) is None
    assert await log.last_by_subject(f"custody.{pool}.evt.task.T1.queued") is None
    assert await log.history(f"custody.{pool}.evt.>") == []
    assert await read(log, 0, 0) == []


async def test_one_message_is_stored_as_given(log: Log, pool: str) -> None:
    message = event(pool, "task.T1.queued", 1, **{"Custody-Hash": "ab" * 32})

    assert await log.append([message], expected_position=0) == 1

    assert await log.last_position() == 1
    assert await log.get(1) == stored(1, message)
    assert await read(log, 0, 1) == [stored(1, message)]


@pytest.mark.parametrize("count", [2, 3, MAX_BATCH_MESSAGES])
async def test_several_messages_take_contiguous_positions_in_order(log: Log, pool: str, count: int) -> None:
    messages = [event(pool, f"task.T{number}.queued", number) for number in range(count)]
    await log.append([event(pool, "pool.pool.opened")], expected_position=0)

    assert await log.append(messages, expected_position=1) == count + 1

    expected = [stored(position, message) for position, message in enumerate(messages, start=2)]
    assert await read(log, 1, count + 1) == expected
    assert await log.get(2) == expected[0]
    assert await log.get(count + 1) == expected[-1]


async def test_one_subject_may_come_several_times_in_an_append(log: Log, pool: str) -> None:
    messages = [event(pool, "task.T1.progressed", number) for number in range(3)]

    assert await log.append(messages, expected_position=0) == 3

    assert await log.last_by_subject(messages[0].subject) == stored(3, messages[2])


@pytest.mark.parametrize("count", [0, MAX_BATCH_MESSAGES + 1])
async def test_an_append_outside_the_limits_is_a_bug_of_the_caller(log: Log, pool: str, count: int) -> None:
    messages = [event(pool, f"task.T{number}.queued") for number in range(count)]

    with pytest.raises(ValueError, match=f"not {count}"):
        await log.append(messages, expected_position=0)

    assert await log.last_position() == 0


@pytest.mark.parametrize("count", [1, 2, MAX_BATCH_MESSAGES])
@pytest.mark.parametrize("expected_position", [0, 1, 3])
async def test_a_conflict_leaves_nothing_behind(log: Log, pool: str, count: int, expected_position: int) -> None:
    before = await fill(log, pool, 2)

    with pytest.raises(AppendConflictError):
        await log.append([event(pool, "task.T9.queued")] * count, expected_position=expected_position)

    assert await log.last_position() == 2
    assert await log.get(3) is None
    assert await log.append([event(pool, "task.T1.noted", 2)], expected_position=2) == 3
    assert await read(log, 0, 3) == [
        stored(position, message)
        for position, message in enumerate([*before, event(pool, "task.T1.noted", 2)], start=1)
    ]


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"\r\n", b"NATS/1.0\r\n\r\n", bytes(range(256)), "Übergabe 交接".encode()], ids=repr
)
async def test_a_body_may_hold_any_bytes(log: Log, pool: str, body: bytes) -> None:
    messages = [NewMessage(f"custody.{pool}.evt.task.T{number}.noted", body) for number in range(2)]
    await log.append(messages, expected_position=0)
    await log.append(messages[:1], expected_position=2)

    expected = [stored(position, message) for position, message in enumerate([*messages, messages[0]], start=1)]
    assert await read(log, 0, 3) == expected
    assert [await log.get(position) for position in (1, 2, 3)] == expected


@pytest.mark.parametrize("count", [1, 2])
async def test_headers_come_back_as_given_and_without_the_brokers_own(log: Log, pool: str, count: int) -> None:
    headers = {"Custody-Hash": "0" * 64, "Content-Type": "application/cloudevents+json", "Custody-Note": "ünï: =?x?="}
    messages = [event(pool, "task.T1.noted", number, **headers) for number in range(count)]
    await log.append(messages, expected_position=0)

    (first, *_) = await read(log, 0, count)
    assert first.headers == headers
    assert [message.headers for message in await log.history(messages[0].subject)] == [headers] * count
    for message in (await log.get(1), await log.last_by_subject(messages[0].subject)):
        assert message is not None
        assert message.headers == headers


@pytest.mark.parametrize(
    "bad",
    [
        NewMessage("custody.{pool}.evt.task.T1.noted", bytes(1_048_576)),
        NewMessage("custody.{pool}.evt.task.T1.noted", bytes(1_000_000), {"Custody-Hash": "0" * 60_000}),
        NewMessage("custody.{pool}.evt.task.*.noted", b""),
        NewMessage("custody.{pool}.evt.task.T 1.noted", b""),
        NewMessage("custody.{pool}.evt.task..noted", b""),
        NewMessage("custody.{pool}.evt.x 0\r\nPUB custody.{pool}.evt.y", b""),
        NewMessage("custody.{pool}.agent.a1.claim", b""),
        NewMessage("custody.{pool}.evt.task.T1.noted", b"", {"Custody-Note": "two\r\nNats-Rollup: all"}),
        NewMessage("custody.{pool}.evt.task.T1.noted", b"", {"Custody Note": "x"}),
        NewMessage("custody.{pool}.evt.task.T1.noted", b"", {"Nats-Msg-Id": "1"}),
    ],
    ids=[
        "body too large",
        "too large with its headers",
        "wildcard subject",
        "space in the subject",
        "empty token in the subject",
        "line break in the subject",
        "subject of another kind",
        "line break in a header",
        "space in a header name",
        "header of the broker",
    ],
)
async def test_unacceptable_content_is_rejected_whole(log: Log, pool: str, bad: NewMessage) -> None:
    bad = NewMessage(bad.subject.format(pool=pool), bad.body, bad.headers)
    for place in range(3):
        with case(f"{place} good messages before it"):
            messages = [event(pool, "task.T1.queued")] * place + [bad]

            with pytest.raises(AppendRejectedError):
                await log.append(messages, expected_position=place)

            assert await log.last_position() == place
            assert await log.append([event(pool, "task.T1.queued")], expected_position=place) == place + 1


async def test_the_largest_message_fits(log: Log, pool: str) -> None:
    large = NewMessage(f"custody.{pool}.evt.task.T1.noted", bytes(1_048_000), {"Custody-Hash": "0" * 64})

    assert await log.append([large], expected_position=0) == 1
    assert await log.append([large, large], expected_position=1) == 3

    assert await read(log, 0, 3) == [stored(position, large) for position in (1, 2, 3)]


async def test_of_two_who_append_at_once_exactly_one_wins(open_log: OpenLog, pool: str) -> None:
    replicas = [await open_log(), await open_log()]

    for position in range(0, 40, 2):
        outcomes = await asyncio.gather(
            *(
                replica.append([event(pool, f"task.T{number}.noted")] * 2, expected_position=position)
                for number, replica in enumerate(replicas)
            ),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AppendConflictError", "int"]
        winner = next(number for number, outcome in enumerate(outcomes) if isinstance(outcome, int))
        assert {message.subject for message in await read(replicas[0], position, position + 2)} == {
            f"custody.{pool}.evt.task.T{winner}.noted"
        }
