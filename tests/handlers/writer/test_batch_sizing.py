"""A batch waits a moment for the callers of the last one to come back, and never longer than that is worth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from domain.decision import Decision
from domain.decisions.dispatch import decide
from domain.events.pool import PoolPaused
from domain.pool_view import SearchablePoolView
from domain.request import Request
from domain.rules import Rules
from handlers.writer import deciding
from handlers.writer.batch_sizing import MIN_LIMIT
from handlers.writer.writer import WriterLimits
from tests.handlers.conftest import MakePool
from tests.support.log_faults import LoseAck, Reject
from tests.support.loop_time import LoopTime
from tests.support.pool_harness import POOL, Asked, PoolHarness

BATCH_WAIT_S = 0.002
APPEND_S = 0.003
PATIENCE_S = APPEND_S / 2
"""Half of what the last append took, where that is less than the limit."""
MOMENT_S = 0.000_1


@pytest.fixture
async def time(monkeypatch: pytest.MonkeyPatch) -> LoopTime:
    return LoopTime(monkeypatch)


@pytest.fixture
async def waiting_pool(time: LoopTime, make_pool: MakePool) -> AsyncIterator[PoolHarness]:
    """A pool whose batches wait for callers; at the end none waits any more."""
    pool = await make_pool(limits=WriterLimits(batch_wait_s=BATCH_WAIT_S))
    yield pool
    await pool.rest()
    for _ in range(3):
        time.pass_(1)
        await pool.rest()


async def append(pool: PoolHarness, time: LoopTime, jobs: int, seconds: float = APPEND_S) -> None:
    """Have one append of so many jobs, which takes so long."""
    with pool.log.held():
        asked = submit(pool, jobs)
        await pool.rest()
        time.pass_(seconds)
    await pool.rest()
    assert all(each.replies for each in asked)


def submit(pool: PoolHarness, jobs: int) -> list[Asked]:
    return [pool.post("ops.submit") for _ in range(jobs)]


async def test_a_lone_caller_is_never_kept_waiting(waiting_pool: PoolHarness, time: LoopTime) -> None:
    for _ in range(3):
        await append(waiting_pool, time, 1)
        assert (await waiting_pool.request("ops.submit")).ok
    assert not time.pending


async def test_a_batch_goes_as_soon_as_as_many_have_come_as_before(waiting_pool: PoolHarness, time: LoopTime) -> None:
    await append(waiting_pool, time, 3)
    early = submit(waiting_pool, 2)
    await waiting_pool.rest()
    assert not any(each.replies for each in early)
    (last,) = submit(waiting_pool, 1)
    await waiting_pool.rest()
    assert all(each.answer.ok for each in (*early, last))
    assert waiting_pool.log.append_sizes[-1] == 3
    assert not time.pending, "it goes without its timer"


async def test_a_batch_goes_with_the_callers_that_have_come_when_its_wait_ends(
    waiting_pool: PoolHarness, time: LoopTime
) -> None:
    await append(waiting_pool, time, 5)
    asked = submit(waiting_pool, 2)
    await waiting_pool.rest()
    time.pass_(PATIENCE_S - MOMENT_S)
    asked += submit(waiting_pool, 1)
    await waiting_pool.rest()
    assert not any(each.replies for each in asked), "who comes later does not begin the wait anew"
    time.pass_(MOMENT_S)
    await waiting_pool.rest()
    assert all(each.answer.ok for each in asked)
    assert waiting_pool.log.append_sizes[-1] == 3

    await append(waiting_pool, time, 5)
    (again,) = submit(waiting_pool, 1)
    await waiting_pool.rest()
    assert not again.replies, "the next one has a patience of its own"


@pytest.mark.parametrize(("append_s", "wait_s"), [(0.001, 0.0005), (0.003, 0.0015), (1.0, BATCH_WAIT_S)])
async def test_patience_is_half_of_the_last_append_and_has_a_limit(
    waiting_pool: PoolHarness, time: LoopTime, append_s: float, wait_s: float
) -> None:
    await append(waiting_pool, time, 2, append_s)
    (asked,) = submit(waiting_pool, 1)
    await waiting_pool.rest()
    time.pass_(wait_s - MOMENT_S)
    await waiting_pool.rest()
    assert not asked.replies
    time.pass_(2 * MOMENT_S)
    await waiting_pool.rest()
    assert asked.answer.ok


async def test_those_who_waited_during_the_last_append_are_hoped_for_as_well(
    waiting_pool: PoolHarness, time: LoopTime
) -> None:
    with waiting_pool.log.held():
        submit(waiting_pool, 1)
        await waiting_pool.rest()
        submit(waiting_pool, 2)
        await waiting_pool.rest()
        time.pass_(APPEND_S)
    await waiting_pool.rest()
    assert waiting_pool.log.append_sizes[-1] == 1, "three could come: the one that was answered, and the two that wait"
    submit(waiting_pool, 1)
    await waiting_pool.rest()
    assert waiting_pool.log.append_sizes[-1] == 3


async def test_a_crowd_goes_in_two_batches_that_take_turns(waiting_pool: PoolHarness, time: LoopTime) -> None:
    crowd = 4 * MIN_LIMIT
    with waiting_pool.log.held():
        submit(waiting_pool, 1)
        await waiting_pool.rest()
        submit(waiting_pool, crowd)
        await waiting_pool.rest()
    with waiting_pool.log.held():
        await waiting_pool.log.until_arrived(waiting_pool.log.arrived + 1)
        await waiting_pool.rest()
    await waiting_pool.rest()
    half = (1 + crowd) // 2
    sizes = waiting_pool.log.append_sizes[waiting_pool.log.append_sizes.index(MIN_LIMIT) :]
    assert sizes[:2] == [MIN_LIMIT, half]
    assert sum(sizes) == crowd


async def test_callers_that_stayed_away_are_not_expected_again(waiting_pool: PoolHarness, time: LoopTime) -> None:
    await append(waiting_pool, time, 4)
    submit(waiting_pool, 1)
    await waiting_pool.rest()
    time.pass_(PATIENCE_S)
    await waiting_pool.rest()
    assert (await waiting_pool.request("ops.submit")).ok, "the others stayed away, and are not waited for again"
    assert not time.pending


async def test_without_the_setting_no_batch_waits(time: LoopTime, make_pool: MakePool) -> None:
    pool = await make_pool()
    await append(pool, time, 4)
    assert (await pool.request("ops.submit")).ok
    assert not time.pending


async def test_no_batch_waits_where_deciding_takes_longer(
    waiting_pool: PoolHarness, time: LoopTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(state: SearchablePoolView, request: Request, now: datetime, rules: Rules) -> Decision:
        time.pass_(2 * PATIENCE_S)
        return decide(state, request, now, rules)

    await append(waiting_pool, time, 4)
    monkeypatch.setattr(deciding, "decide", slowly)
    assert (await waiting_pool.request("ops.submit")).ok


async def test_what_appends_nothing_does_not_wait(waiting_pool: PoolHarness, time: LoopTime) -> None:
    await append(waiting_pool, time, 4)
    assert (await waiting_pool.request("ops.cancel", {"task_id": "none"})).code == "unknown_task"
    assert (await waiting_pool.request("query.tasks")).ok
    assert not time.pending


async def test_what_rests_on_a_batch_that_waits_waits_with_it(waiting_pool: PoolHarness, time: LoopTime) -> None:
    await waiting_pool.register("a", capacity=1)
    await append(waiting_pool, time, 5)
    claim = waiting_pool.post("agent.a.claim")
    await waiting_pool.rest()
    others: list[Any] = [waiting_pool.post(each) for each in ("agent.a.claim", "query.tasks", "query.health")]
    await waiting_pool.rest()
    assert not any(each.replies for each in (claim, *others)), "nothing tentative is seen"
    time.pass_(PATIENCE_S)
    await waiting_pool.rest()
    assert claim.answer.result["leases"]
    assert others[0].answer.code == "at_capacity"
    assert all(each.answer["position"] == claim.answer["position"] for each in others[1:])


@pytest.mark.parametrize("fault", [LoseAck(), Reject()], ids=str)
async def test_after_a_fault_nothing_is_left_waiting(
    waiting_pool: PoolHarness, time: LoopTime, fault: LoseAck | Reject
) -> None:
    await append(waiting_pool, time, 3)
    waiting_pool.log.fail_next(fault)
    asked = submit(waiting_pool, 1)
    await waiting_pool.rest()
    time.pass_(PATIENCE_S)
    await waiting_pool.advance(10)
    time.pass_(1)
    await waiting_pool.rest()
    assert asked[0].replies
    for _ in range(2):
        later = submit(waiting_pool, 1)
        await waiting_pool.rest()
        time.pass_(1)
        await waiting_pool.rest()
        assert later[0].answer.ok


async def test_what_another_appended_meanwhile_is_folded_first(waiting_pool: PoolHarness, time: LoopTime) -> None:
    await append(waiting_pool, time, 3)
    asked = submit(waiting_pool, 1)
    await waiting_pool.rest()
    waiting_pool.log.append_foreign(*waiting_pool.by_another((f"pool/{POOL}", PoolPaused())))
    time.pass_(PATIENCE_S)
    await waiting_pool.rest()
    time.pass_(1)
    await waiting_pool.rest()
    assert asked[0].answer["position"] == waiting_pool.position
    assert waiting_pool.state.pool.intake.value == "paused"


async def test_a_stop_sends_a_batch_that_waits_and_answers_it(time: LoopTime, make_pool: MakePool) -> None:
    pool = await make_pool(limits=WriterLimits(batch_wait_s=BATCH_WAIT_S))
    await append(pool, time, 3)
    (asked,) = submit(pool, 1)
    await pool.rest()
    assert not asked.replies
    stopping = asyncio.create_task(pool.service.stop())
    await pool.rest()
    time.pass_(PATIENCE_S)
    await pool.rest()
    assert asked.answer.ok
    assert stopping.done()
    await pool.restart()
