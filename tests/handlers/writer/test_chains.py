"""A few commands of one event each go as a chain, of which the log may take a prefix."""

from __future__ import annotations

import asyncio

import pytest

from domain.events.task import Cancelled, Leased, Submitted
from domain.policies.lease import LeasePolicy
from tests.handlers.conftest import MakePool
from tests.support.log_faults import (
    EVERY_WRITE_SYNCED,
    SLOW_WRITES,
    SYNCED_LATER,
    AppendTimes,
    Conflict,
    LoseAck,
    LoseRequest,
    Midway,
    Reject,
    StoredLater,
    Unavailable,
)
from tests.support.pool_harness import Asked, PoolHarness

THEIRS = Submitted(request_digest="theirs", title="theirs", lease=LeasePolicy())


@pytest.fixture
def takes_chains() -> bool:
    return True


def submits(pool: PoolHarness, *titles: str) -> list[Asked]:
    return [pool.post("ops.submit", {"title": title, "command_id": title}) for title in titles]


async def traffic(pool: PoolHarness) -> None:
    """Single commands and small groups, for long enough to tell what both ways cost."""
    for number in range(180):
        submits(pool, *(f"{pool.clock.elapsed_s}-{each}" for each in range(1 if number % 3 == 0 else 10)))
        await pool.advance(1)


async def sizes_as_chains(pool: PoolHarness, *sizes: int) -> set[int]:
    """The sizes of groups that go as a chain; of three each, for one may be tried the other way."""
    found = set()
    for size in sizes:
        before = len(pool.log.append_sizes)
        for _ in range(3):
            submits(pool, *(f"{pool.clock.elapsed_s}-{each}" for each in range(size)))
            await pool.advance(1)
        if pool.log.append_sizes[before:].count(1) >= 2 * size:
            found.add(size)
    return found


def titles(pool: PoolHarness) -> list[str]:
    return [r.event.title for r in pool.records() if isinstance(r.event, Submitted)]


def codes(asked: list[Asked]) -> list[str | None]:
    return [each.answer.code if each.replies else "waits" for each in asked]


async def test_what_comes_together_goes_as_one_chain_in_order(pool: PoolHarness) -> None:
    asked = submits(pool, "0", "1", "2")
    await pool.rest()

    assert pool.log.chain_sizes[-1:] == [3]
    assert titles(pool) == ["0", "1", "2"]
    assert [each.answer["position"] for each in asked] == [3, 4, 5]


async def test_the_next_chain_is_sent_before_the_last_one_is_acknowledged(pool: PoolHarness) -> None:
    with pool.log.held():
        first = submits(pool, "0")
        await pool.rest()
        arrived = pool.log.arrived
        second = submits(pool, "1", "2")
        await pool.rest()
        assert pool.log.arrived == arrived + 1
        assert codes([*first, *second]) == ["waits"] * 3, "nothing is told before it is acknowledged"
    await pool.rest()

    assert pool.log.chain_sizes[-2:] == [1, 2]
    assert titles(pool) == ["0", "1", "2"]


async def test_a_command_of_several_events_stays_whole(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T", "U")
    with pool.log.held():
        before = submits(pool, "before")
        await pool.rest()
        arrived = pool.log.arrived
        claim = pool.post("agent.a.claim", {"max": 2})
        after = submits(pool, "after")
        await pool.rest()
        assert pool.log.arrived == arrived, "a batch is not sent behind a chain"
    await pool.rest()

    assert pool.log.append_sizes[-2:] == [1, 3]
    assert [lease["task_id"] for lease in claim.answer.result["leases"]] == ["T", "U"]
    assert codes([*before, *after]) == [None, None]


async def test_many_commands_go_as_a_batch(pool: PoolHarness) -> None:
    asked = submits(pool, *(str(number) for number in range(40)))
    await pool.rest()

    assert pool.log.append_sizes[-1] == 40
    assert codes(asked) == [None] * 40


async def test_where_many_are_in_flight_what_comes_gathers_for_a_batch(pool: PoolHarness) -> None:
    with pool.log.held():
        for number in range(12):
            submits(pool, f"{number}a", f"{number}b", f"{number}c")
            await pool.rest()
    await pool.rest()

    *chains, batch = pool.log.append_sizes[2:]
    assert chains == [1] * len(chains)
    assert batch > 1
    assert batch + len(chains) == 12 * 3


async def test_where_a_single_write_takes_longer_than_a_batch_what_comes_together_goes_as_one(
    pool: PoolHarness,
) -> None:
    for number in range(10):
        with pool.log.held():
            submits(pool, f"slow {number}")
            await pool.rest()
            await pool.advance(0.05)
        await pool.rest()

    submits(pool, "0", "1", "2")
    await pool.rest()

    assert pool.log.append_sizes[-1] == 3
    assert 3 not in pool.log.chain_sizes


@pytest.mark.parametrize(
    ("times", "as_chains"),
    [
        pytest.param(EVERY_WRITE_SYNCED, {2, 8}, id="each write is synced: a dozen"),
        pytest.param(SYNCED_LATER, {2, 8, 40}, id="writes are synced later: scores"),
        pytest.param(SLOW_WRITES, set[int](), id="a write takes longer than a batch: none"),
    ],
)
async def test_the_size_up_to_which_a_group_goes_as_a_chain_follows_what_the_broker_takes(
    pool: PoolHarness, times: AppendTimes, as_chains: set[int]
) -> None:
    pool.log.times = times
    await traffic(pool)
    assert await sizes_as_chains(pool, 2, 8, 40) == as_chains


async def test_it_follows_when_the_broker_becomes_slower_and_quick_again(pool: PoolHarness) -> None:
    for times, as_chains in ((SYNCED_LATER, {2, 40}), (SLOW_WRITES, set[int]()), (EVERY_WRITE_SYNCED, {2})):
        pool.log.times = times
        await traffic(pool)
        assert await sizes_as_chains(pool, 2, 40) == as_chains


async def test_what_is_acknowledged_is_answered_while_the_rest_is_unknown(pool: PoolHarness) -> None:
    pool.log.fail_next(Midway(2, LoseRequest()))
    asked = submits(pool, "0", "1", "2", "3")
    await pool.rest()

    assert codes(asked) == [None, None, "waits", "waits"]
    assert pool.state.committed_position == asked[1].answer["position"]
    query = pool.post("query.tasks")
    await pool.rest()
    assert not query.replies, "what is tentative is not seen"

    await pool.advance(1)
    assert codes(asked) == [None] * 4
    assert titles(pool) == ["0", "1", "2", "3"]
    assert len(query.answer.result["tasks"]) == 4


@pytest.mark.parametrize(
    "fault",
    [LoseAck(), LoseRequest(), StoredLater(0), StoredLater(3), StoredLater(2, counted=True)],
    ids=["acknowledgements lost", "lost", "stored later, at once", "stored later", "counted, then stored"],
)
@pytest.mark.parametrize("stored", [0, 1, 3])
async def test_an_unknown_outcome_is_found_out_event_by_event(
    pool: PoolHarness, stored: int, fault: LoseAck | LoseRequest | StoredLater
) -> None:
    pool.log.fail_next(Midway(stored, fault), LoseAck(), LoseRequest())
    asked = submits(pool, "0", "1", "2", "3")
    await pool.advance(4)

    assert titles(pool) == ["0", "1", "2", "3"]
    assert [each.answer["position"] for each in asked] == [r.position for r in pool.events(Submitted)]
    again = submits(pool, "0", "1", "2", "3")
    await pool.rest()
    assert [each.answer.raw for each in again] == [each.answer.raw for each in asked]


async def test_a_foreign_event_in_the_middle_undoes_what_follows_and_has_it_decided_again(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T", "U", "V")
    foreign = Conflict(lambda: pool.by_another(("task/U", Cancelled(reason="by another"))))
    pool.log.fail_next(Midway(1, foreign))

    asked = [pool.post("ops.assign", {"task_id": task_id, "agent_id": "a"}) for task_id in "TUV"]
    await pool.rest()

    assert codes(asked) == [None, "task_finished", None]
    assert pool.names()[-3:] == ["leased", "cancelled", "leased"]
    assert [asked[0].answer.result["token"], asked[2].answer.result["token"]] == [
        r.position for r in pool.events(Leased)
    ]


async def test_a_chain_behind_one_that_met_a_foreign_event_is_undone_too(pool: PoolHarness) -> None:
    foreign = Conflict(lambda: pool.by_another(("task/X", THEIRS)))
    with pool.log.held():
        pool.log.fail_next(Midway(1, foreign))
        first = submits(pool, "0", "1")
        await pool.rest()
        second = submits(pool, "2", "3")
        await pool.rest()
        third = submits(pool, "4")
        await pool.rest()
        assert pool.log.arrived == 5
    await pool.rest()

    assert codes([*first, *second, *third]) == [None] * 5
    assert titles(pool) == ["0", "theirs", "1", "2", "3", "4"]


async def test_a_chain_behind_one_of_unknown_outcome_waits_for_it(pool: PoolHarness) -> None:
    with pool.log.held():
        pool.log.fail_next(LoseRequest())
        first = submits(pool, "0")
        await pool.rest()
        second = submits(pool, "1")
        await pool.rest()
    await pool.rest()
    assert codes([*first, *second]) == ["waits", "waits"]
    third = submits(pool, "2")
    await pool.advance(1)

    assert codes([*first, *second, *third]) == [None] * 3
    assert titles(pool) == ["0", "1", "2"]


async def test_a_chain_that_was_not_sent_takes_those_behind_it_along(pool: PoolHarness) -> None:
    with pool.log.held():
        pool.log.fail_next(Unavailable())
        first = submits(pool, "0")
        await pool.rest()
        second = submits(pool, "1")
        await pool.rest()
    await pool.advance(1)

    assert codes([*first, *second]) == [None] * 2
    assert titles(pool) == ["0", "1"]


async def test_what_the_broker_rejects_in_the_middle_is_refused_alone(pool: PoolHarness) -> None:
    pool.log.fail_next(Midway(1, Reject()), Reject(), Reject())
    asked = submits(pool, "0", "1", "2")
    await pool.advance(2)

    assert codes(asked) == [None, "invalid_command", None]
    assert titles(pool) == ["0", "2"]


async def test_a_refusal_is_told_with_what_it_rests_on(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T", "U")
    pool.log.fail_next(Midway(1, LoseRequest()))
    bodies = [{"task_id": task_id, "agent_id": "a"} for task_id in ("T", "T", "U", "U")]
    asked = [pool.post("ops.assign", body) for body in bodies]
    await pool.rest()
    assert codes(asked) == [None, "illegal_transition", "waits", "waits"]

    await pool.advance(1)
    assert codes(asked) == [None, "illegal_transition", None, "illegal_transition"]


async def test_a_service_that_dies_in_the_middle_leaves_a_prefix_and_repeats_find_it(pool: PoolHarness) -> None:
    pool.log.fail_next(Midway(2, LoseRequest()))
    asked = submits(pool, "0", "1", "2", "3")
    await pool.rest()
    await pool.restart()
    assert titles(pool) == ["0", "1"]

    again = submits(pool, "0", "1", "2", "3")
    await pool.rest()

    assert titles(pool) == ["0", "1", "2", "3"]
    assert [each.answer.raw for each in again[:2]] == [each.answer.raw for each in asked[:2]]


async def test_the_observer_sees_each_acknowledged_end_with_its_hash(make_pool: MakePool) -> None:
    pool = await make_pool()
    seen: list[tuple[int, str | None]] = []
    pool.on_commit = lambda position, tail_hash: seen.append((position, tail_hash))
    await pool.restart()
    pool.log.fail_next(Midway(1, LoseRequest()), Midway(1, Conflict(lambda: pool.by_another(("task/X", THEIRS)))))
    submits(pool, "0", "1", "2")
    await pool.advance(1)
    submits(pool, "3", "4")
    await pool.advance(1)

    hashes = {message.position: message.headers["Custody-Hash"] for message in pool.log.messages}
    assert [position for position, _ in seen] == sorted({position for position, _ in seen})
    assert all(hashes[position] == tail_hash for position, tail_hash in seen)
    assert seen[-1][0] == pool.position


async def test_a_waiting_claim_is_woken_by_the_part_that_is_acknowledged(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = pool.post("agent.a.claim", {"wait_s": 30.0})
    await pool.rest()
    pool.log.fail_next(Midway(1, LoseRequest()))
    submits(pool, "0", "1")
    await pool.advance(1)

    assert [lease["title"] for lease in claim.answer.result["leases"]] == ["0"]


async def test_a_chain_that_starts_while_the_one_before_it_is_found_out_waits_for_it(pool: PoolHarness) -> None:
    """The one before it is already sent again, so it could name no chain any more."""
    with pool.log.held():
        pool.log.fail_next(LoseAck(), LoseRequest())
        first = submits(pool, "0")
        await pool.rest()
        pool.log.fail_reads(2)
    second = submits(pool, "1")
    for _ in range(8):
        await asyncio.sleep(0)
        second += submits(pool, str(len(second) + 1))
    await pool.advance(3)

    assert codes([*first, *second]) == [None] * 10
    assert titles(pool) == [str(number) for number in range(10)]
