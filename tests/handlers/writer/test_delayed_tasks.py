"""Queued tasks whose time comes wake the claims that wait for them, at that time and at no other."""

from __future__ import annotations

import pytest

from domain.events.pool import PoolPaused
from domain.rules import Rules
from domain.timestamps import after
from handlers.background import sweeper
from tests.handlers.conftest import MakePool
from tests.handlers.writer.test_waiting_claims import tasks, wait
from tests.support.memory_log import Conflict
from tests.support.pool_harness import PoolHarness

PLAIN = {"delay_s": 4, "backoff": 1, "max_delay_s": 4}


async def test_a_delayed_submission_answers_a_waiting_claim_when_its_time_comes(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.submit("T", delay_s=5)
    await pool.advance(4.999)
    assert claim.reply is None
    await pool.advance(0.001)
    assert tasks(claim) == ["T"]


async def test_a_snoozed_task_answers_a_waiting_claim_when_its_time_comes(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.given("agent.a.release", task_id="T", token=token, delay_s=7)
    claim, other = wait(pool, "a"), wait(pool, "a")
    await pool.advance(6.999)
    assert claim.reply is None
    await pool.advance(0.001)
    assert (tasks(claim), other.reply) == (["T"], None)
    await pool.advance(30)


async def test_a_failed_task_goes_to_the_other_agent_first(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.register("b")
    await pool.submit("T", retry=PLAIN)
    token = await pool.assign("a", "T")
    mine = wait(pool, "a")
    others = wait(pool, "b")
    await pool.given("agent.a.fail", task_id="T", token=token, error="no")
    await pool.advance(3.999)
    assert (mine.reply, others.reply) == (None, None)
    await pool.advance(0.001)
    assert (mine.reply, tasks(others)) == (None, ["T"])
    await pool.advance(30)


async def test_who_failed_waits_one_more_delay_while_another_could_take_it(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.register("b")
    await pool.submit("T", retry=PLAIN)
    token = await pool.assign("a", "T")
    await pool.given("agent.a.fail", task_id="T", token=token, error="no")
    mine, second = wait(pool, "a"), wait(pool, "a")
    await pool.advance(7.999)
    assert (mine.reply, second.reply) == (None, None)
    await pool.advance(0.001)
    assert (tasks(mine), second.reply) == (["T"], None)
    await pool.advance(30)


async def test_who_failed_takes_the_rest_of_the_kind(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    await pool.submit("T", retry=PLAIN)
    token = await pool.assign("a", "T")
    await pool.given("agent.a.fail", task_id="T", token=token, error="no")
    await pool.submit("U", delay_s=5)
    mine, others = wait(pool, "a"), wait(pool, "a")
    await pool.advance(5)
    assert (tasks(mine), others.reply) == (["U"], None)
    assert [each["task_id"] for each in (await pool.given("agent.b.claim"))["leases"]] == ["T"]
    await pool.advance(30)


async def test_those_that_wait_cost_nothing(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps: list[float] = []
    original = sweeper.Sweeper.sweep
    pool = await make_pool(sweeper_interval_s=10_000.0)

    async def counted(self: sweeper.Sweeper) -> None:
        sweeps.append(pool.clock.elapsed_s)
        await original(self)

    monkeypatch.setattr(sweeper.Sweeper, "sweep", counted)
    await pool.submit("soon", delay_s=100)
    await pool.submit("later", delay_s=500)
    await pool.advance(1)
    sweeps.clear()
    begun = pool.clock.elapsed_s
    await pool.advance(600)
    assert [round(each - begun) for each in sweeps] == [99, 499]
    monkeypatch.undo()


async def test_delays_survive_a_restart(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.submit("T", delay_s=20)
    await pool.restart(after_s=5)
    claim = wait(pool, "a")
    await pool.advance(14.9)
    assert claim.reply is None
    await pool.advance(0.2)
    assert tasks(claim) == ["T"]


async def test_a_refused_append_loses_no_wake_up(pool: PoolHarness) -> None:
    await pool.register("a")
    claim, second = wait(pool, "a"), wait(pool, "a")
    await pool.submit("T", delay_s=5)
    await pool.advance(4)
    pool.log.fail_next(Conflict(pool.by_another(("pool/p", PoolPaused()))))
    await pool.advance(1)
    assert (claim.reply, second.reply) == (None, None)
    await pool.given("ops.resume")
    assert (tasks(claim), second.reply) == (["T"], None)
    await pool.advance(30)


async def test_a_decision_that_moves_the_backlog_on_takes_no_wake_up(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.submit("T", delay_s=5)
    await pool.advance(4.999)
    moved_to = after(pool.clock.now(), 0.001)
    assert [task.task_id for task in pool.state.queued_for(pool.agent("a"), 1, moved_to)] == ["T"]
    await pool.advance(0.001)
    assert tasks(claim) == ["T"]


async def test_what_waits_is_shown(pool: PoolHarness) -> None:
    await pool.submit("delayed", "U", priority="critical", delay_s=60)
    await pool.submit("sooner", delay_s=30)
    await pool.submit("ready", priority="low")
    backlog = await pool.given("query.backlog")
    assert [each["task_id"] for each in backlog["tasks"]] == ["ready", "sooner", "delayed", "U"]
    assert [each["not_before"] is None for each in backlog["tasks"]] == [True, False, False, False]
    assert (backlog["queued"], backlog["delayed"]) == (4, 3)
    statistics = await pool.given("query.statistics")
    assert (statistics["tasks"]["queued"], statistics["delayed"]) == (4, 3)
    page = await pool.given("query.backlog", after="sooner")
    assert [each["task_id"] for each in page["tasks"]] == ["delayed", "U"]
    task = await pool.given("query.task", task_id="sooner")
    assert task["retry"] == {"delay_s": 1.0, "backoff": 2.0, "max_delay_s": 300.0}
    await pool.advance(60)
    assert (await pool.given("query.statistics"))["delayed"] == 0
    backlog = await pool.given("query.backlog")
    assert [each["task_id"] for each in backlog["tasks"]] == ["delayed", "U", "sooner", "ready"]


async def test_a_pools_settings_say_how_long_failures_wait(make_pool: MakePool) -> None:
    pool = await make_pool(Rules.model_validate({"retry": {"delay_s": 0.0}}))
    token = await pool.holds("a", "T")
    claim = wait(pool, "a")
    await pool.given("agent.a.fail", task_id="T", token=token, error="no")
    assert tasks(claim) == ["T"]
