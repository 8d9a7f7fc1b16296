"""The policy balance: an agent that has nothing to do is given work at once, if that lets the work begin sooner."""

from __future__ import annotations

import pytest

from domain.events.steal import Planned
from domain.events.task import Expired
from domain.policies.load_balancing import StealConfig
from domain.rules import Rules
from handlers.background import balancer
from tests.handlers.conftest import MakePool
from tests.support.log_faults import LoseAck
from tests.support.pool_harness import Asked, PoolHarness

LONG = {"mode": "fixed", "lease_s": 5000.0, "grace_s": 0.0}


async def busy(pool: PoolHarness, agent_id: str, count: int) -> list[str]:
    """An agent that holds so many tasks and works on the first; the others may move by now."""
    tasks = [f"{agent_id}-{number}" for number in range(1, count + 1)]
    await pool.holds(agent_id, *tasks, lease=LONG)
    await begin(pool, tasks[0])
    await pool.advance(2)
    return tasks


async def begin(pool: PoolHarness, task_id: str) -> None:
    lease = pool.lease(task_id)
    await pool.given(f"agent.{lease.agent_id}.start", task_id=task_id, token=lease.token)


async def complete(pool: PoolHarness, task_id: str) -> None:
    lease = pool.lease(task_id)
    await pool.given(f"agent.{lease.agent_id}.complete", task_id=task_id, token=lease.token)


def claim(pool: PoolHarness, agent_id: str, most: int = 1) -> Asked:
    return pool.post(f"agent.{agent_id}.claim", {"wait_s": 30.0, "max": most})


def granted(asked: Asked) -> list[str]:
    return [lease["task_id"] for lease in asked.answer.result["leases"]]


def moves(pool: PoolHarness) -> list[tuple[str, str, tuple[str, ...]]]:
    plans = [r.event for r in pool.records() if isinstance(r.event, Planned)]
    return [(plan.from_agent, plan.to_agent, plan.task_ids) for plan in plans]


async def test_a_claim_in_vain_is_answered_at_once_with_what_another_agent_has_not_begun(pool: PoolHarness) -> None:
    await busy(pool, "a", 3)
    await pool.register("b")
    asked = claim(pool, "b")
    await pool.rest()
    assert granted(asked) == ["a-3"]
    assert asked.answer.result["leases"][0]["token"] == pool.lease("a-3").token


async def test_a_claim_gets_as_many_as_it_asked_for(pool: PoolHarness) -> None:
    await busy(pool, "a", 9)
    await pool.register("b")
    asked = claim(pool, "b", 3)
    await pool.rest()
    assert granted(asked) == ["a-9", "a-8", "a-7"]
    assert moves(pool) == [("a", "b", ("a-9", "a-8", "a-7"))]


async def test_several_claims_of_one_agent_share_what_is_moved(pool: PoolHarness) -> None:
    await busy(pool, "a", 9)
    await pool.register("b")
    with pool.log.held():
        asked = [claim(pool, "b", 2), claim(pool, "b")]
        await pool.rest()
    await pool.rest()
    assert sorted(len(granted(each)) for each in asked) == [1, 2]


async def test_who_runs_out_and_does_not_claim_gets_half_of_what_levels_after_a_moment(pool: PoolHarness) -> None:
    await busy(pool, "b", 1)
    await busy(pool, "a", 9)
    await complete(pool, "b-1")
    await pool.advance(0.9)
    assert moves(pool) == []
    await pool.advance(0.2)
    ((source, target, task_ids),) = moves(pool)
    assert (source, target) == ("a", "b")
    assert task_ids == ("a-9", "a-8", "a-7")


async def test_who_just_registered_is_a_target_too(pool: PoolHarness) -> None:
    await busy(pool, "a", 2)
    await pool.register("b")
    await pool.advance(1.2)
    assert moves(pool) == [("a", "b", ("a-2",))]


async def test_what_was_just_assigned_is_left_for_its_holder_may_begin_it(pool: PoolHarness) -> None:
    await pool.register("b")
    await pool.holds("a", "T1", "T2", lease=LONG)
    await begin(pool, "T1")
    asked = claim(pool, "b")
    await pool.advance(0.9)
    assert asked.reply is None
    await pool.advance(0.2)
    assert granted(asked) == ["T2"]


async def test_work_that_was_begun_is_not_moved_and_neither_is_what_comes_next_soon(pool: PoolHarness) -> None:
    for number in range(3):
        await pool.holds("a", f"known-{number}", labels=["quick"])
        await begin(pool, f"known-{number}")
        await pool.advance(1)
        await complete(pool, f"known-{number}")
    await pool.register("b")
    await pool.holds("a", "T1", "T2", labels=["quick"], lease=LONG)
    await begin(pool, "T1")
    asked = claim(pool, "b")
    await pool.advance(1.2)
    assert asked.reply is None, "a second's work is left of T1, if as much as it took already"
    await pool.advance(10)
    assert granted(asked) == ["T2"], "by now T1 is expected to take long"


async def test_the_queue_comes_first(pool: PoolHarness) -> None:
    await busy(pool, "a", 5)
    await pool.register("b")
    await pool.submit("Q", required_capabilities=["gpu"])
    await pool.advance(1.2)
    assert len(moves(pool)) == 1, "b can do nothing of what is queued"
    await pool.register("c", capabilities=["gpu"])
    await pool.advance(5)
    assert pool.task("Q").holder is None
    assert "c" not in [target for _, target, _ in moves(pool)], "c can claim what is queued"


async def test_a_task_moves_only_where_it_can_be_done_and_what_an_agent_failed_does_not_return(
    pool: PoolHarness,
) -> None:
    await pool.register("b")
    token = await pool.holds("b", "F", lease=LONG, retry={"delay_s": 0})
    await pool.given("agent.b.fail", task_id="F", token=token, error="no")
    await pool.register("a", capabilities=["gpu"])
    await pool.holds("a", "G", lease=LONG)
    await pool.submit("H", required_capabilities=["gpu"], lease=LONG)
    await pool.assign("a", "H", "F")
    await begin(pool, "G")
    await pool.advance(2)
    asked = claim(pool, "b")
    await pool.advance(12)
    assert asked.reply is None
    await pool.register("c", capabilities=["gpu"])
    able = claim(pool, "c")
    await pool.advance(0.1)
    assert granted(able) == ["F"]
    await pool.register("d", capabilities=["gpu"])
    able = claim(pool, "d")
    await pool.advance(0.1)
    assert granted(able) == ["H"]


async def test_a_stolen_task_rests_and_never_returns(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(steal=StealConfig(cooldown_s=20.0)))
    await pool.holds("a", "a-0", lease=LONG)
    await begin(pool, "a-0")
    await busy(pool, "b", 2)
    assert granted(await _claimed(pool, "a", 1)) == ["b-2"]
    await complete(pool, "b-1")
    back = claim(pool, "b")
    await pool.register("c")
    waiting = claim(pool, "c")
    await pool.advance(19.9)
    assert (back.reply, waiting.reply) == (None, None)
    await pool.advance(0.2)
    assert granted(waiting) == ["b-2"]
    assert back.reply is None, "what was stolen from b does not go back to it"


@pytest.mark.parametrize(("limit", "moved"), [(89.0, 0), (90.0, 1), (100.0, 1)])
async def test_how_much_cpu_is_too_much_to_receive_is_a_setting(make_pool: MakePool, limit: float, moved: int) -> None:
    pool = await make_pool(Rules(steal=StealConfig(overloaded_above_cpu=limit)))
    await busy(pool, "a", 2)
    await pool.register("b")
    await pool.given("agent.b.heartbeat", load={"cpu": 90.0})
    claim(pool, "b")
    await pool.advance(25)
    assert len(moves(pool)) == moved


async def _claimed(pool: PoolHarness, agent_id: str, most: int) -> Asked:
    asked = claim(pool, agent_id, most)
    await pool.rest()
    return asked


@pytest.mark.parametrize("gate", ["pool", "target", "disabled", "cpu"])
async def test_nothing_moves_through_a_closed_gate(make_pool: MakePool, gate: str) -> None:
    pool = await make_pool(Rules(steal=StealConfig(enabled=gate != "disabled")))
    await busy(pool, "a", 9)
    await pool.register("b")
    if gate == "cpu":
        await pool.given("agent.b.heartbeat", load={"cpu": 90.0})
    elif gate != "disabled":
        await pool.given("ops.pause", **({} if gate == "pool" else {"agent_id": "b"}))
    asked = claim(pool, "b")
    await pool.advance(25)
    assert moves(pool) == []
    assert asked.reply is None
    if gate in {"pool", "target"}:
        await pool.given("ops.resume", **({} if gate == "pool" else {"agent_id": "b"}))
        await pool.advance(10)
        assert len(granted(asked)) == 1


@pytest.mark.parametrize("spell", ["the pool is paused", "the broker is out of reach"])
async def test_a_claim_that_began_to_wait_in_a_spell_without_plans_is_answered_soon_after_it(
    pool: PoolHarness, spell: str
) -> None:
    paused = spell == "the pool is paused"
    await busy(pool, "a", 9)
    await pool.register("b")
    if paused:
        await pool.given("ops.pause")
    else:
        pool.service.disconnected()
    asked = claim(pool, "b")
    await pool.advance(2)
    assert moves(pool) == []
    if paused:
        await pool.given("ops.resume")
    else:
        pool.service.reconnected(2.0)
    await pool.advance(balancer.CLOSED_S)
    assert len(granted(asked)) == 1


@pytest.mark.parametrize("gate", ["drain", "pause"])
async def test_an_agent_that_takes_no_grants_is_relieved(pool: PoolHarness, gate: str) -> None:
    await busy(pool, "a", 3)
    await pool.given(f"ops.{gate}", agent_id="a")
    await pool.register("b")
    assert granted(await _claimed(pool, "b", 1)) == ["a-3"]


async def test_an_idle_agent_that_is_silent_gets_nothing_until_it_is_heard(pool: PoolHarness) -> None:
    await pool.register("b")
    await pool.advance(12)
    await busy(pool, "a", 9)
    await pool.advance(balancer.CLOSED_S)
    assert moves(pool) == []
    await pool.given("agent.b.heartbeat")
    await pool.advance(10)
    assert [target for _, target, _ in moves(pool)] == ["b"]


async def test_a_restart_between_plan_and_execution_finishes_it(pool: PoolHarness) -> None:
    await busy(pool, "a", 3)
    await pool.register("b")
    position = pool.position
    claim(pool, "b")
    pool.log.fail_next(LoseAck())
    await pool.advance(0.01)
    assert pool.names(position) == ["planned"]
    await pool.restart(after_s=1.0)
    assert pool.names(position) == ["planned", "led", "rearmed", "executing", "stolen", "completed"]
    assert pool.lease("a-3").agent_id == "b"


async def test_a_plan_that_fails_is_followed_by_another(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await busy(pool, "a", 3)
    await pool.register("b")

    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(balancer, "BalancePass", broken)
    asked = claim(pool, "b")
    await pool.advance(5)
    assert "a steal plan failed" in caplog.text
    assert asked.reply is None
    monkeypatch.undo()
    await pool.advance(10)
    assert granted(asked) == ["a-3"]


async def test_no_lease_of_a_silent_agent_is_stolen_for_another_silent_one_and_all_expire_in_time(
    pool: PoolHarness,
) -> None:
    """Observed with the policy threshold: 14 of 20,000 such leases were moved, and did not expire in time."""
    agents, each = 40, 50
    holders = [f"a{number}" for number in range(agents)]
    await pool.register(*holders, *(f"idle{number}" for number in range(agents)), capacity=each)
    await pool.advance(12)
    for start in range(0, agents * each, 1000):
        await pool.given("ops.submit_many", tasks=[{"task_id": f"T{start + number}"} for number in range(1000)])
    for agent_id in holders:
        leases = (await pool.given(f"agent.{agent_id}.claim", max=each))["leases"]
        await pool.given(f"agent.{agent_id}.start", task_id=leases[0]["task_id"], token=leases[0]["token"])
    silent_since = pool.clock.now()

    await pool.advance(400)

    assert moves(pool) == []
    expired = pool.events(Expired)
    assert len(expired) == agents * each
    assert max((recorded.time - silent_since).total_seconds() for recorded in expired) < 180 + 60 + 2


async def test_a_plan_costs_nothing_where_nothing_can_move(pool: PoolHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[object] = []
    monkeypatch.setattr(balancer, "BalancePass", lambda *args: plans.append(args))
    await pool.register("a", "b")
    for number in range(20):
        await pool.submit(f"T{number}")
        asked = await _claimed(pool, "a", 1)
        (lease,) = asked.answer.result["leases"]
        await pool.given("agent.a.complete", task_id=lease["task_id"], token=lease["token"])
        claim(pool, "b")
        await pool.advance(31)
    assert plans == []
