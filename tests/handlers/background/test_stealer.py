"""Passes of the stealer by the policy threshold: one target for each overloaded agent, everything checked again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.events.steal import Executing, Planned, StealCompleted, StealFailed
from domain.events.task import Stolen
from domain.policies.load_balancing import StealConfig, StealPolicy
from domain.rules import Rules
from handlers.background import stealer
from tests.handlers.conftest import MakePool
from tests.support.log_faults import LoseAck
from tests.support.pool_harness import PoolHarness

THRESHOLD = StealConfig(policy=StealPolicy.THRESHOLD)
LONG = {"mode": "fixed", "lease_s": 5000.0, "grace_s": 0.0}


@pytest.fixture
async def pool(make_pool: MakePool) -> PoolHarness:
    """A pool that steals by the policy threshold."""
    return await make_pool(Rules(steal=THRESHOLD))


async def busy(pool: PoolHarness, agent_id: str, count: int, **body: object) -> list[str]:
    """Register an agent that holds so many tasks."""
    tasks = [f"{agent_id}-{number}" for number in range(count)]
    await pool.register(agent_id, capacity=50, **body)
    if tasks:
        await pool.holds(agent_id, *tasks, lease=LONG)
    return tasks


def moves(pool: PoolHarness) -> list[tuple[str, str, int]]:
    """Return (source, target, tasks) of every steal that was planned."""
    plans = [r.event for r in pool.records() if isinstance(r.event, Planned)]
    return [(plan.from_agent, plan.to_agent, len(plan.task_ids)) for plan in plans]


def held(pool: PoolHarness, *agents: str) -> list[int]:
    return [pool.state.tasks_held(agent) for agent in agents]


async def test_a_pass_moves_the_latest_tasks_to_the_idle(pool: PoolHarness) -> None:
    tasks = await busy(pool, "a", 9)
    await busy(pool, "b", 0)
    await pool.advance(9.9)
    assert moves(pool) == []
    await pool.advance(0.2)
    assert moves(pool) == [("a", "b", 2)]
    stolen = pool.events(Stolen)
    assert [r.entity_id for r in stolen] == [tasks[8], tasks[7]]
    assert all(isinstance(r.event, Stolen) and r.event.token == r.position for r in stolen)
    assert {r.actor for r in pool.events(Planned, Executing, Stolen, StealCompleted)} == {"stealer"}
    assert held(pool, "a", "b") == [7, 2]
    await pool.advance(30)
    assert len(moves(pool)) == 1, "no agent is overloaded any more"


async def test_the_plan_is_an_append_of_its_own_and_the_moves_are_another(pool: PoolHarness) -> None:
    await busy(pool, "a", 9)
    await busy(pool, "b", 0)
    before = len(pool.log.append_sizes)
    await pool.advance(10.1)
    assert pool.log.append_sizes[before:] == [1, 4]
    assert pool.names()[-5:] == ["planned", "executing", "stolen", "stolen", "completed"]
    (completed,) = (r.event for r in pool.records() if isinstance(r.event, StealCompleted))
    loads = (
        completed.source_tasks_before,
        completed.source_tasks_after,
        completed.target_tasks_before,
        completed.target_tasks_after,
    )
    assert loads == (9, 7, 0, 2)


async def test_sources_go_in_registration_order_and_loads_are_updated_between_moves(pool: PoolHarness) -> None:
    await busy(pool, "z", 12)
    await busy(pool, "a", 11)
    await busy(pool, "b", 0)
    await busy(pool, "c", 1)
    await pool.advance(10.1)
    # b is filled by the first move, so the second source turns to c.
    assert moves(pool) == [("z", "b", 2), ("a", "c", 2)]


async def test_one_target_is_not_flooded(pool: PoolHarness) -> None:
    for source in "pqr":
        await busy(pool, source, 10)
    await busy(pool, "t", 0)
    await pool.advance(10.1)
    assert moves(pool) == [("p", "t", 2)]


async def test_a_source_makes_one_move_a_pass(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=replace(THRESHOLD, interval_s=100.0)))
    await busy(pool, "a", 20)
    await busy(pool, "b", 0)
    await busy(pool, "c", 0)
    await pool.advance(100.1)
    assert moves(pool) == [("a", "b", 2)]
    await pool.given("agent.c.heartbeat")
    await pool.advance(100)
    assert moves(pool) == [("a", "b", 2), ("a", "c", 2)]


async def test_the_threshold_is_asked(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=replace(THRESHOLD, steal_threshold=10)))
    await busy(pool, "a", 9)
    await busy(pool, "b", 0)
    await pool.advance(50)
    assert moves(pool) == []
    await pool.holds("a", "more", lease=LONG)
    await pool.advance(10)
    assert moves(pool) == [("a", "b", 2)]


async def test_who_gives_and_who_receives_are_settings(make_pool: MakePool) -> None:
    config = replace(THRESHOLD, overloaded_above_tasks=3, underloaded_below_tasks=1)
    pool = await make_pool(Rules(steal=config))
    await busy(pool, "a", 4)
    await busy(pool, "b", 1)
    await pool.advance(50)
    assert moves(pool) == []
    await busy(pool, "c", 0)
    await pool.advance(10)
    assert moves(pool) == [("a", "c", 2)]


async def test_load_counts_too(pool: PoolHarness) -> None:
    await busy(pool, "a", 4)
    await busy(pool, "b", 0)
    await busy(pool, "c", 0)
    await pool.given("agent.a.heartbeat", load={"cpu": 90.0})
    await pool.given("agent.b.heartbeat", load={"cpu": 50.0})
    await pool.advance(10.1)
    assert moves(pool) == [("a", "c", 2)]


@pytest.mark.parametrize("gate", ["pool", "target"])
async def test_nothing_moves_through_a_closed_gate(pool: PoolHarness, gate: str) -> None:
    await busy(pool, "a", 9)
    await busy(pool, "b", 0)
    where = {} if gate == "pool" else {"agent_id": "b"}
    await pool.given("ops.pause", **where)
    await pool.advance(50)
    assert moves(pool) == []
    await pool.given("ops.resume", **where)
    await pool.advance(10)
    assert len(moves(pool)) == 1


async def test_it_can_be_disabled(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=replace(THRESHOLD, enabled=False)))
    await busy(pool, "a", 20)
    await busy(pool, "b", 0)
    await pool.advance(100)
    assert moves(pool) == []
    assert (await pool.given("ops.steal", from_="a", to="b", count=1))["task_ids"]


async def test_only_what_can_move_moves(pool: PoolHarness) -> None:
    await busy(pool, "a", 9, capabilities=["gpu"])
    await busy(pool, "b", 0, capabilities=["gpu"])
    for number in (8, 6):
        token = pool.lease(f"a-{number}").token
        await pool.given("agent.a.start", task_id=f"a-{number}", token=token)
    await pool.holds("a", "special", required_capabilities=["gpu"], budgets={"steals": 0}, lease=LONG)
    await pool.advance(10.1)
    assert [r.entity_id for r in pool.events(Stolen)] == ["a-7", "a-5"]


@pytest.mark.parametrize("gate", ["drain", "pause"])
async def test_an_overloaded_agent_is_relieved_also_while_it_takes_no_grants(pool: PoolHarness, gate: str) -> None:
    await busy(pool, "a", 9)
    await busy(pool, "b", 0)
    await pool.given(f"ops.{gate}", agent_id="a")
    await pool.advance(10.1)
    assert moves(pool) == [("a", "b", 2)]


async def test_until_an_agent_is_lost_its_assigned_tasks_are_moved(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(lost_after_s=100.0, steal=THRESHOLD))
    await busy(pool, "a", 9)
    await pool.advance(99)
    await busy(pool, "b", 0)
    await pool.advance(12)
    assert pool.agent("a").status == "lost"
    assert len(pool.events(Stolen)) == 2


async def test_what_changed_between_plan_and_execution_is_checked_again(pool: PoolHarness) -> None:
    tasks = await busy(pool, "a", 4)
    await busy(pool, "b", 0)
    tokens = {task_id: pool.lease(task_id).token for task_id in tasks}
    with pool.log.held():
        steal = pool.post("ops.steal", {"from": "a", "to": "b", "task_ids": tasks[:3]})
        await pool.rest()
        started = pool.post("agent.a.start", {"task_id": tasks[0], "token": tokens[tasks[0]]})
        cancelled = pool.post("ops.cancel", {"task_id": tasks[1]})
        await pool.rest()
    await pool.rest()
    assert started.answer.ok
    assert cancelled.answer.ok
    assert steal.answer.result["task_ids"] == [tasks[2]]
    (completed,) = (r.event for r in pool.records() if isinstance(r.event, StealCompleted))
    assert set(completed.skipped) == set(tasks[:2])


async def test_a_plan_that_nothing_is_left_of_fails(pool: PoolHarness) -> None:
    (task_id,) = await busy(pool, "a", 1)
    await busy(pool, "b", 0)
    with pool.log.held():
        steal = pool.post("ops.steal", {"from": "a", "to": "b", "task_ids": [task_id]})
        await pool.rest()
        pool.post("ops.cancel", {"task_id": task_id})
        await pool.rest()
    await pool.rest()
    assert steal.answer.result["task_ids"] == []
    assert len(pool.events(StealFailed)) == 1
    assert (await pool.given("query.steals"))["steals"][0]["status"] == "failed"


@pytest.mark.parametrize("by", ["ops", "stealer"])
async def test_a_restart_between_plan_and_execution_finishes_it(pool: PoolHarness, by: str) -> None:
    await busy(pool, "a", 9)
    await busy(pool, "b", 0)
    body = {"from": "a", "to": "b", "count": 2, "command_id": "same"}
    position = pool.position
    pool.log.fail_next(LoseAck())
    if by == "ops":
        pool.post("ops.steal", body)
    await pool.advance(0.1 if by == "ops" else 10)
    assert pool.names(position) == ["planned"]
    await pool.restart(after_s=1.0)

    names = ["planned", "led", "rearmed", "executing", "stolen", "stolen", "completed"]
    assert pool.names(position) == names
    assert held(pool, "a", "b") == [7, 2]
    assert pool.state.steals == {}
    if by == "ops":
        repeat = await pool.request("ops.steal", body)
        assert repeat.result["task_ids"] == [r.entity_id for r in pool.events(Stolen)]
        assert len(moves(pool)) == 1


async def test_a_pass_that_fails_is_followed_by_another(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await busy(pool, "a", 9)
    await busy(pool, "b", 0)

    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stealer, "move_from", broken)
    await pool.advance(25)
    assert "a steal pass failed" in caplog.text
    monkeypatch.undo()
    await pool.advance(10)
    assert len(moves(pool)) == 1
