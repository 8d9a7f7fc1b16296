"""A wall clock that is set changes no wait: only times in the log follow it."""

from __future__ import annotations

import pytest

from domain.events.agent import Lost
from domain.events.steal import Planned
from domain.events.task import Expired
from domain.rules import Rules
from domain.timestamps import after, format_timestamp
from handlers.writer.writer import WriterLimits
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import PoolHarness

HOUR_S = 3600.0
SET = pytest.mark.parametrize("set_back_s", [HOUR_S, -HOUR_S], ids=["set back", "set ahead"])


@SET
async def test_a_waiting_claim_ends_when_its_time_is_over(pool: PoolHarness, set_back_s: float) -> None:
    await pool.register("a")
    claim = pool.post("agent.a.claim", {"wait_s": 5})
    await pool.advance(1)
    pool.clock.set_back(set_back_s)
    await pool.advance(3.9)
    assert not claim.replies
    await pool.advance(0.2)
    assert claim.answer.result == {"leases": []}


@SET
async def test_a_caller_is_told_in_time_that_the_outcome_is_unknown(make_pool: MakePool, set_back_s: float) -> None:
    pool = await make_pool(limits=WriterLimits(reply_timeout_s=5))
    with pool.log.held():
        submit = pool.post("ops.submit")
        await pool.rest()
        pool.clock.set_back(set_back_s)
        await pool.advance(4)
        assert not submit.replies
        await pool.advance(3)
        assert submit.answer.code == "unavailable"


@SET
async def test_the_stealer_goes_on_at_its_interval(pool: PoolHarness, set_back_s: float) -> None:
    await pool.holds("a", *(f"T{number}" for number in range(9)), lease={"mode": "fixed", "lease_s": 90_000})
    await pool.register("b")
    pool.clock.set_back(set_back_s)
    await pool.advance(10.1)
    assert pool.events(Planned)


@SET
async def test_an_agent_is_lost_after_as_long_a_silence(make_pool: MakePool, set_back_s: float) -> None:
    pool = await make_pool(Rules(lost_after_s=100))
    await pool.register("a")
    await pool.advance(50)
    pool.clock.set_back(set_back_s)
    await pool.advance(49.9)
    assert not pool.events(Lost)
    await pool.advance(0.2)
    (lost,) = pool.events(Lost)
    assert isinstance(lost.event, Lost)
    assert lost.event.silence_s == pytest.approx(100, abs=0.01)


async def test_what_a_claim_would_be_granted_by_the_logs_time_answers_one_that_waits(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    claim = pool.post("agent.a.claim", {"wait_s": 30})
    await pool.advance(20)
    await pool.given("ops.annotate", agent_id="a", kind="moves-the-logs-time")
    pool.clock.set_back(15)
    await pool.submit("T", not_before=format_timestamp(after(pool.clock.now(), 10)))
    await pool.rest()
    assert [lease["task_id"] for lease in claim.answer.result["leases"]] == ["T"]


async def test_what_is_written_into_the_log_follows_the_wall_clock(pool: PoolHarness) -> None:
    """While the wall clock is behind, the pool's time goes at half speed: 20 s are made up in 40."""
    await pool.register("b")
    await pool.holds("a", "held", lease={"mode": "fixed", "lease_s": 100, "grace_s": 0})
    await pool.submit("T", delay_s=5)
    pool.clock.set_back(20)
    claim = pool.post("agent.b.claim", {"wait_s": 30})
    await pool.advance(9.9)
    assert not claim.replies
    await pool.advance(0.2)
    assert [lease["task_id"] for lease in claim.answer.result["leases"]] == ["T"]
    await pool.advance(109.8)
    assert not pool.events(Expired)
    await pool.advance(1.2)
    assert pool.events(Expired)


async def test_what_falls_due_by_a_clock_that_was_set_ahead_is_judged_within_a_second(pool: PoolHarness) -> None:
    await pool.holds("a", "T", lease={"mode": "fixed", "lease_s": 1000, "grace_s": 0})
    await pool.advance(10)
    pool.clock.set_back(-HOUR_S)
    await pool.advance(1.1)
    assert pool.events(Expired)


async def test_a_clock_that_was_ahead_and_is_set_right_does_not_stop_expiry(pool: PoolHarness) -> None:
    pool.clock.set_back(-HOUR_S)
    await pool.holds("a", "T", lease={"mode": "fixed", "lease_s": 100, "grace_s": 0})
    await pool.advance(10)
    pool.clock.set_back(HOUR_S)
    await pool.advance(100)
    assert not pool.events(Expired), "no lease ends earlier for it"
    await pool.advance(100)
    assert pool.events(Expired), "after twice as long at the most"


async def test_the_pools_time_meets_the_clocks_again(pool: PoolHarness) -> None:
    pool.clock.set_back(-HOUR_S)
    await pool.submit("T1")
    pool.clock.set_back(HOUR_S)
    await pool.advance(2 * HOUR_S)
    await pool.submit("T2")
    assert pool.records()[-1].time == pool.clock.now()


async def test_a_service_that_starts_behind_its_log_does_not_stand_still(pool: PoolHarness) -> None:
    pool.clock.set_back(-HOUR_S)
    await pool.holds("a", "T", lease={"mode": "fixed", "lease_s": 100, "grace_s": 0})
    pool.clock.set_back(HOUR_S)
    await pool.restart()
    await pool.advance(201)
    assert pool.events(Expired)


async def test_a_clock_that_was_set_is_named_once(pool: PoolHarness, caplog: pytest.LogCaptureFixture) -> None:
    await pool.register("a")
    await pool.advance(10)
    pool.clock.set_back(HOUR_S)
    await pool.advance(10)
    told = [record.getMessage() for record in caplog.records if "clock" in record.getMessage()]
    assert told == [
        "the wall clock was set by -3600.0 s",
        "this clock is 3589 s behind the log's last event; leases last longer until it has caught up",
    ]
