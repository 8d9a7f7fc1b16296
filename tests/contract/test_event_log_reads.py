"""Reads of any event log: one suite for the one in memory and the one on a real broker."""

import asyncio

import pytest

from handlers.ports import LogTruncatedError
from tests.support.logs import Log, OpenLog, event, fill, read, stored

MANY = 2_500
"""More than one chunk of a read."""


@pytest.mark.parametrize(
    ("after", "until"),
    [(0, MANY), (0, 1), (MANY - 1, MANY), (1, MANY - 1), (999, 1_001), (500, 500), (700, 300), (MANY, MANY)],
)
async def test_a_read_gives_exactly_its_range_in_order(log: Log, pool: str, after: int, until: int) -> None:
    messages = await fill(log, pool, MANY)

    expected = [stored(position, message) for position, message in enumerate(messages, start=1)]
    assert await read(log, after, until) == expected[after:until]


async def test_a_read_can_be_left_early_and_begun_again(log: Log, pool: str) -> None:
    await fill(log, pool, MANY)
    for _ in range(3):
        async for chunk in log.read(after=0, until=MANY):
            assert chunk[0].position == 1
            break

    assert len(await read(log, 0, MANY)) == MANY


async def test_a_read_beyond_the_end_says_so(log: Log, pool: str) -> None:
    await fill(log, pool, 2)

    with pytest.raises(LogTruncatedError, match="ends at position 2"):
        await read(log, 0, 3)


async def test_the_last_by_subject_is_the_newest_on_exactly_that_subject(log: Log, pool: str) -> None:
    messages = [
        event(pool, "task.T1.noted", 1),
        event(pool, "task.T10.noted", 2),
        event(pool, "task.T1.noted.x", 3),
        event(pool, "task.T1.noted", 4),
        event(pool, "task.T2.noted", 5),
    ]
    await log.append(messages, expected_position=0)

    assert await log.last_by_subject(f"custody.{pool}.evt.task.T1.noted") == stored(4, messages[3])
    assert await log.last_by_subject(f"custody.{pool}.evt.task.T1.queued") is None


@pytest.mark.parametrize(
    ("subject_filter", "positions"),
    [
        ("task.T1.>", [1, 4, 5]),
        ("task.T10.>", [2]),
        ("task.*.queued", [1, 2]),
        ("task.T1.noted", [4, 5]),
        (">", [1, 2, 3, 4, 5, 6]),
        ("steal.>", []),
    ],
)
async def test_a_history_holds_what_matches_in_order(
    log: Log, pool: str, subject_filter: str, positions: list[int]
) -> None:
    entities = ["task.T1.queued", "task.T10.queued", "agent.T1.registered", "task.T1.noted", "task.T1.noted"]
    messages = [event(pool, entity, number) for number, entity in enumerate([*entities, "pool.pool.led"])]
    await log.append(messages, expected_position=0)

    found = await log.history(f"custody.{pool}.evt.{subject_filter}")

    assert found == [stored(position, messages[position - 1]) for position in positions]


async def test_a_long_history_is_complete(log: Log, pool: str) -> None:
    messages = await fill(log, pool, MANY)

    found = await log.history(f"custody.{pool}.evt.task.T3.>")

    assert found == [stored(position, messages[position - 1]) for position in range(4, MANY + 1, 7)]


@pytest.mark.parametrize(
    ("filters", "after", "until", "positions"),
    [
        (["task.T1.>"], 0, 6, [1, 4, 5]),
        (["task.T1.>"], 1, 4, [4]),
        (["task.T1.queued", "task.T1.noted"], 0, 6, [1, 4, 5]),
        (["task.T1.queued", "task.T2.queued"], 0, 6, [1]),
        (["task.T1.noted"], 0, 4, [4]),
        (["task.T1.noted"], 0, 3, []),
        (["task.T1.noted"], 4, 1_000, [5]),
        (["task.T1.noted"], 5, 5, []),
        (["task.T10.queued", "agent.T1.registered"], 0, 2, [2]),
        (["task.*.queued", "pool.>"], 0, 6, [1, 2, 6]),
        (["steal.>", "task.T1.left"], 0, 6, []),
    ],
)
async def test_what_matches_between_two_positions_is_read(
    log: Log, pool: str, filters: list[str], after: int, until: int, positions: list[int]
) -> None:
    entities = ["task.T1.queued", "task.T10.queued", "agent.T1.registered", "task.T1.noted", "task.T1.noted"]
    messages = [event(pool, entity, number) for number, entity in enumerate([*entities, "pool.pool.led"])]
    await log.append(messages, expected_position=0)

    chunks = log.matching([f"custody.{pool}.evt.{each}" for each in filters], after=after, until=until)

    found = [message async for chunk in chunks for message in chunk]
    assert found == [stored(position, messages[position - 1]) for position in positions]


async def test_long_stretches_of_what_matches_come_in_chunks(log: Log, pool: str) -> None:
    messages = await fill(log, pool, MANY)
    filters = [f"custody.{pool}.evt.task.T{number}.noted" for number in range(7)]

    chunks = [chunk async for chunk in log.matching(filters, after=10, until=MANY - 10)]

    assert all(chunks)
    expected = [stored(position, messages[position - 1]) for position in range(11, MANY - 9)]
    assert [message for chunk in chunks for message in chunk] == expected


@pytest.mark.parametrize(
    ("after", "until"), [(0, 5_000), (7, 4_990), (2_000, 2_700), (4_999, 6_000), (10, 10), (20, 3)]
)
async def test_subjects_of_one_entity_are_read_together_however_many_messages_each_has(
    log: Log, pool: str, after: int, until: int
) -> None:
    names = ["renewed", "progressed", "progressed", "progressed"]
    messages = [event(pool, f"task.T1.{names[number % 4]}", number) for number in range(MANY)]
    for number, name in [(0, "submitted"), (1, "leased"), (1_200, "requeued"), (1_201, "leased"), (MANY - 1, "left")]:
        messages[number] = event(pool, f"task.T1.{name}", number)
    messages[1_300] = event(pool, "task.T10.progressed", 1_300)
    for start in range(0, MANY, 1_000):
        await log.append(messages[start : start + 1_000], expected_position=start)
    wanted = ("submitted", "leased", "requeued", "renewed", "progressed", "never")
    filters = [f"custody.{pool}.evt.task.T1.{name}" for name in wanted]

    chunks = [chunk async for chunk in log.matching(filters, after=after, until=until)]

    assert all(chunks)
    expected = [
        stored(position, message)
        for position, message in enumerate(messages, start=1)
        if after < position <= until and message.subject in filters
    ]
    assert [message for chunk in chunks for message in chunk] == expected


async def test_the_last_by_a_filter_is_the_newest_of_all_that_match(log: Log, pool: str) -> None:
    messages = [event(pool, f"task.{entity}.noted", n) for n, entity in enumerate(["T1", "T10", "T1", "T2"])]
    await log.append(messages, expected_position=0)

    assert await log.last_by_subject(f"custody.{pool}.evt.task.T1.>") == stored(3, messages[2])
    assert await log.last_by_subject(f"custody.{pool}.evt.task.T3.>") is None


async def test_a_history_read_while_others_append_is_a_prefix(open_log: OpenLog, pool: str) -> None:
    log, other = await open_log(), await open_log()

    async def append_many() -> None:
        for position in range(0, 200, 2):
            await other.append(
                [event(pool, f"task.T{n}.noted", position + n) for n in (0, 1)], expected_position=position
            )

    appending = asyncio.create_task(append_many())
    known = 0
    while known < 200:
        known = await log.last_position()
        history = await log.history(f"custody.{pool}.evt.task.T0.>")
        assert [message.position for message in history] == list(range(1, 2 * len(history), 2))
        assert len(history) >= known // 2
    await appending


async def test_a_follower_gets_what_is_there_and_what_comes(open_log: OpenLog, pool: str) -> None:
    log, other = await open_log(), await open_log()
    await fill(other, pool, 3)

    positions: list[int] = []
    following = log.follow(after=1)
    async for message in following:
        positions.append(message.position)
        if message.position == 3:
            await other.append([event(pool, "task.T1.noted", 4)], expected_position=3)
            await other.append([event(pool, "task.T1.noted", n) for n in (5, 6)], expected_position=4)
        if message.position == 6:
            break
    assert positions == [2, 3, 4, 5, 6]


async def test_who_follows_from_beyond_the_end_is_told(log: Log, pool: str) -> None:
    await fill(log, pool, 2)

    with pytest.raises(LogTruncatedError, match="ends at position 2"):
        await anext(aiter(log.follow(after=3)))
