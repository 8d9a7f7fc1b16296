"""Work that an agent did not ask for goes only to those that were heard within a lease's first term."""

from __future__ import annotations

from domain.events.steal import Planned
from domain.policies.lease import LeaseMode, LeasePolicy
from domain.policies.load_balancing import StealConfig, StealPolicy
from domain.rules import Rules
from projections.state import workloads
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import PoolHarness

LONG = {"mode": "fixed", "lease_s": 5000.0, "grace_s": 0.0}


async def best(pool: PoolHarness, task_id: str) -> str | None:
    await pool.submit(task_id)
    reply = await pool.request("ops.assign", {"task_id": task_id})
    if reply.code is not None:
        assert reply.code == "at_capacity"
        return None
    return pool.lease(task_id).agent_id


async def test_an_agent_that_registered_and_died_is_assigned_nothing_after_a_first_term(pool: PoolHarness) -> None:
    await pool.register("dead")
    await pool.advance(180)
    assert await best(pool, "T1") == "dead"
    await pool.advance(0.001)
    assert await best(pool, "T2") is None
    assert pool.agent("dead").status == "live", "it is not lost yet"


async def test_the_next_best_agent_that_was_heard_is_taken(pool: PoolHarness) -> None:
    await pool.register("dead", "alive", "later")
    await pool.holds("alive", "T0", lease=LONG)
    await pool.advance(170)
    await pool.given("agent.alive.heartbeat")
    await pool.advance(20)
    assert await best(pool, "T1") == "alive"
    await pool.given("agent.later.heartbeat")
    assert await best(pool, "T2") == "later"


async def test_any_command_counts_though_it_leaves_no_event(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.advance(170)
    assert (await pool.request("agent.a.claim")).names == []
    await pool.advance(170)
    assert await best(pool, "T") == "a"


async def test_a_load_report_does_not_count(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.advance(170)
    await pool.given("ops.load", agent_id="a", load={"cpu": 1.0})
    await pool.given("agent.a.heartbeat", alive=False, load={"cpu": 1.0})
    await pool.advance(20)
    assert await best(pool, "T") is None


async def test_after_a_start_the_last_record_counts_until_the_agent_is_heard(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.restart(after_s=100)
    assert await best(pool, "T1") == "a"
    await pool.advance(81)
    assert await best(pool, "T2") is None
    await pool.given("agent.a.claim")
    await pool.submit("T3")
    assert await best(pool, "T4") == "a"


async def test_a_named_agent_is_assigned_all_the_same(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.advance(300)
    await pool.holds("a", "T")


async def test_the_term_is_the_pools(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(lease=LeasePolicy(mode=LeaseMode.FIXED, lease_s=20.0)))
    await pool.register("a")
    await pool.advance(21)
    assert await best(pool, "T") is None


async def test_so_many_silent_agents_are_passed_over_and_no_more(pool: PoolHarness) -> None:
    silent = [f"s{number}" for number in range(workloads.MAX_PASSED_OVER)]
    await pool.register(*silent[:-1], "alive")
    await pool.advance(180.5)
    await pool.given("agent.alive.heartbeat")
    assert await best(pool, "T1") == "alive"
    await pool.register("another", capabilities=["gpu"])
    assert await best(pool, "T2") == "another", "another set of capabilities is looked at by itself"


async def test_tasks_are_stolen_only_for_an_agent_that_was_heard(pool: PoolHarness) -> None:
    await pool.register("dead")
    await pool.advance(185)
    await pool.register("busy", capacity=50)
    await pool.holds("busy", *(f"T{number}" for number in range(9)), lease=LONG)
    await pool.advance(30)
    assert not pool.events(Planned)

    await pool.given("agent.dead.heartbeat")
    await pool.advance(10)
    assert [recorded.event.to_agent for recorded in pool.events(Planned) if isinstance(recorded.event, Planned)] == [
        "dead"
    ]


async def test_a_better_target_that_is_silent_does_not_stand_in_the_way(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=StealConfig(policy=StealPolicy.THRESHOLD)))
    await pool.register("silent", priority=50.0)
    await pool.advance(185)
    await pool.register("heard")
    await pool.register("busy", capacity=50)
    await pool.holds("busy", *(f"T{number}" for number in range(9)), lease=LONG)
    await pool.advance(10.1)
    assert [pool.state.tasks_held(each) for each in ("silent", "heard")] == [0, 2]


async def test_an_operator_may_steal_for_a_silent_agent(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=StealConfig(enabled=False)))
    await pool.register("silent")
    await pool.advance(185)
    await pool.holds("a", "T", lease=LONG)
    assert (await pool.given("ops.steal", from_="a", to="silent"))["task_ids"] == ["T"]
