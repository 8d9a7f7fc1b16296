"""Queued tasks whose time comes wake the claims that wait for them, at that time and at no other."""

from __future__ import annotations

import random
from typing import Any

import pytest

from domain.events.pool import PoolPaused
from domain.rules import Rules
from domain.timestamps import after
from tests.handlers.conftest import MakePool
from tests.handlers.writer.test_waiting_claims import tasks, wait
from tests.support.log_faults import Conflict
from tests.support.pool_harness import Asked, PoolHarness

ENDS: list[tuple[str, dict[str, Any]]] = [
    ("fail", {"error": "no"}),
    ("release", {"delay_s": 4}),
    ("release", {}),
    ("complete", {}),
    ("start", {}),
]
PLAIN = {"delay_s": 4, "backoff": 1, "max_delay_s": 4}


async def test_a_delayed_submission_answers_a_waiting_claim_when_its_time_comes(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool, "a")
    await pool.submit("T", delay_s=5)
    await pool.advance(4.999)
    assert claim.reply is None
    await pool.advance(0.001)
    assert tasks(claim) == ["T"]


async def test_a_task_released_with_a_delay_answers_a_waiting_claim_when_its_time_comes(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.given("agent.a.release", task_id="T", token=token, delay_s=7)
    claim, other = wait(pool, "a"), wait(pool, "a")
    await pool.advance(6.999)
    assert claim.reply is None
    await pool.advance(0.001)
    assert (tasks(claim), other.reply) == (["T"], None)
    await pool.advance(30)


@pytest.mark.parametrize("delay_s", [0.0, 5.0, 25.0], ids=["at once", "earlier", "later"])
async def test_a_time_that_is_changed_answers_a_waiting_claim_then(pool: PoolHarness, delay_s: float) -> None:
    await pool.register("a")
    await pool.submit("T", delay_s=20)
    claim = wait(pool, "a")
    await pool.rest()
    await pool.given("ops.update", task_id="T", delay_s=delay_s)
    if delay_s:
        await pool.advance(delay_s - 0.001)
        assert claim.reply is None
        await pool.advance(0.001)
    assert tasks(claim) == ["T"]


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


@pytest.mark.parametrize("how", ["paused", "full", "left"])
async def test_who_failed_is_woken_when_the_other_agent_is_no_longer_available(pool: PoolHarness, how: str) -> None:
    await pool.register("a")
    await pool.register("b", capacity=1)
    await pool.submit("T", retry=PLAIN)
    token = await pool.assign("a", "T")
    await pool.given("agent.a.fail", task_id="T", token=token, error="no")
    mine, second = wait(pool, "a"), wait(pool, "a")
    await pool.advance(5)
    assert mine.reply is None
    match how:
        case "paused":
            await pool.given("ops.pause", agent_id="b")
        case "full":
            await pool.submit("U", required_capabilities=["other"])
            await pool.register("b", capacity=1, capabilities=["other"])
            await pool.assign("b", "U")
        case _:
            await pool.given("agent.b.deregister")
    assert (tasks(mine), second.reply) == (["T"], None)
    await pool.advance(30)


@pytest.mark.parametrize("seed", range(8))
async def test_no_claim_waits_beside_a_task_that_its_agent_could_take(make_pool: MakePool, seed: int) -> None:
    chance = random.Random(seed)
    pool = await make_pool(Rules(priority_aging_s=20.0))
    agents = {"a": ["gpu"], "b": ["gpu"], "c": [], "d": []}
    for agent_id, capabilities in agents.items():
        await pool.register(agent_id, capacity=2, capabilities=capabilities)
    waits: dict[str, Asked] = {}
    for number in range(60):
        required = chance.choice([[], ["gpu"]])
        delay_s = chance.choice([0, 0, 3, 8])
        retry = {"delay_s": chance.choice([0, 2, 5]), "backoff": 1}
        await pool.submit(f"T{number}", required_capabilities=required, delay_s=delay_s, retry=retry)
        for task in [task for task in pool.state.tasks.values() if task.lease is not None]:
            lease = task.held_lease
            verb, body = chance.choice(ENDS)
            await pool.given(f"agent.{lease.agent_id}.{verb}", task_id=task.task_id, token=lease.token, **body)
        for agent_id in agents:
            if agent_id not in waits or waits[agent_id].replies:
                waits[agent_id] = wait(pool, agent_id)
        await pool.advance(chance.choice([0.0, 0.5, 2.0]))
        state = pool.state
        state.indexes.backlog.advance(pool.clock.now())
        for agent_id, claim in waits.items():
            able = state.available_capabilities(agent_id)
            if claim.reply is None and able is not None:
                found = state.queued_for(pool.agent(agent_id), 1, pool.clock.now())
                assert not found, f"{agent_id} waits beside {found[0].task_id}"
    await pool.advance(60)


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
    pool = await make_pool(sweeper_interval_s=10_000.0)
    sweeps = pool.count_sweeps(monkeypatch)
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
