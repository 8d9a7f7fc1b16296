"""The sweeper acts when something falls due, and not before; it does not poll."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from domain.commands.service_commands import Judge
from domain.decision import Decision
from domain.decisions import judging
from domain.decisions.dispatch import decide
from domain.due import due_at, due_moments
from domain.events.task import Expired, Failed, Requeued, Stuck
from domain.policies.sweeping import DueMoments
from domain.pool import Pool
from domain.pool_view import SearchablePoolView
from domain.request import Request
from domain.rules import Rules
from domain.task import Task
from handlers.background import sweeper
from handlers.writer import deciding
from handlers.writer.pool_access import PoolAccess
from projections.state import due_times
from projections.state.due_times import DueTimes
from projections.state.searchable_state import SearchableState
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import PoolHarness

FIRST_LEASE_S, GRACE_S = 180.0, 60.0
DUE_S = FIRST_LEASE_S + GRACE_S


async def test_nothing_expires_before_it_is_due_and_everything_the_moment_it_is(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    due = pool.lease("T").expires_at + timedelta(seconds=GRACE_S)
    await pool.advance(DUE_S - 0.001)
    assert pool.task("T").status == "assigned"
    await pool.advance(0.001)
    expired, requeued = pool.records()[-2:]
    assert isinstance(expired.event, Expired)
    assert isinstance(requeued.event, Requeued)
    assert expired.time == requeued.time == due
    assert expired.actor == "sweeper"


async def test_a_command_within_the_grace_period_wins(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.advance(DUE_S - 0.001)
    await pool.given("agent.a.progress", task_id="T", token=token, percent=10)
    await pool.advance(200)
    assert pool.task("T").status == "in_progress"


async def test_a_silent_holder_of_a_long_lease_is_warned_of_and_then_recovered(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T", lease={"mode": "estimated"}, estimated_hours=2.0)
    await pool.given("agent.a.progress", task_id="T", token=token, percent=10)
    due = pool.lease("T").expires_at + timedelta(seconds=pool.lease("T").grace_s)
    await pool.advance(601)
    assert (pool.task("T").status, len(pool.events(Stuck))) == ("stuck", 1)
    await pool.advance((due - pool.clock.now()).total_seconds())
    assert [each.name for each in pool.records()[-2:]] == ["expired", "requeued"]
    assert pool.records()[-1].time == due
    assert pool.service.sweeper.findings == {"stuck": 1, "requeued": 1}


async def test_it_does_not_poll(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = await make_pool(sweeper_interval_s=10_000.0)
    sweeps = pool.count_sweeps(monkeypatch)
    await pool.holds("a", "T", lease={"mode": "fixed", "lease_s": 3000.0, "grace_s": 0.0})
    await pool.holds("b", "U", deadline_s=500.0)
    del sweeps[:]
    await pool.advance(2999)
    assert [round(at) for at in sweeps] == [240, 500, 600]


async def test_what_falls_due_while_a_sweep_looks_is_judged_at_once(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.holds("a", "T")
    await pool.advance(DUE_S - 0.001)
    silent_agents = PoolAccess.silent_agents

    def look_slowly(access: PoolAccess) -> list[tuple[str, float]]:
        pool.clock.suspend(0.002)
        return silent_agents(access)

    # A timer may fire a moment early, and looking takes a moment.
    monkeypatch.setattr(PoolAccess, "silent_agents", look_slowly)
    pool.service.sweeper.plan_again()
    await pool.advance(0.01)

    assert pool.task("T").status == "queued"


async def test_what_cannot_be_done_makes_nothing_else_late(pool: PoolHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    await pool.holds("a", "T")
    due = pool.lease("T").expires_at + timedelta(seconds=GRACE_S)
    await pool.advance(0.3)
    overdue = [(pool.clock.now(), "an agent that is not there")]
    monkeypatch.setattr(SearchableState, "drains_to_end", lambda _: overdue)
    pool.service.sweeper.plan_again()

    await pool.advance(DUE_S)

    assert pool.task("T").status == "queued"
    assert pool.records()[-1].time == due


async def test_an_earlier_due_moment_wakes_it(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.advance(10)
    await pool.submit("U", deadline_s=5.0)
    await pool.advance(5.1)
    assert pool.task("U").status == "failed"
    failed = pool.events(Failed)[0]
    assert (failed.time - pool.clock.now()).total_seconds() == pytest.approx(-0.1, abs=0.001)


async def test_the_interval_checks_again_what_no_event_announced(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await make_pool(sweeper_interval_s=300.0)
    monkeypatch.setattr(DueTimes, "next_at", lambda _self, _pool: None)
    monkeypatch.setattr(DueTimes, "may_fall_due_before", lambda _self, _moment: False)
    await pool.holds("a", "T")
    await pool.advance(299)
    assert pool.task("T").status == "assigned"
    await pool.advance(2)
    assert pool.task("T").status == "queued"
    monkeypatch.undo()


async def test_deadlines_come_first_in_whatever_status(pool: PoolHarness) -> None:
    token = await pool.holds("a", "blocked", "held", "stale", deadline_s=1000.0)
    await pool.submit("queued", deadline_s=1000.0)
    await pool.given("agent.a.progress", task_id="stale", token=token, percent=1)
    blocked = pool.lease("blocked").token
    await pool.given("agent.a.block", task_id="blocked", token=blocked, reason="no key")
    held = pool.lease("held").token
    await pool.given("agent.a.silence", task_id="held", token=held, for_s=3000.0, reason="build")
    await pool.advance(999)
    statuses = {task_id: pool.task(task_id).status.value for task_id in ("queued", "blocked", "held", "stale")}
    assert statuses == {"queued": "queued", "blocked": "blocked", "held": "assigned", "stale": "queued"}
    await pool.advance(1.1)
    assert {pool.task(task_id).status.value for task_id in statuses} == {"failed"}
    assert {r.event.error for r in pool.records() if isinstance(r.event, Failed)} == {"deadline exceeded by sweeper"}
    assert pool.service.sweeper.findings["deadline_exceeded"] == 4


async def test_a_disabled_sweeper_leaves_deadlines_alone_and_leases_still_expire(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(sweeper_enabled=False))
    await pool.holds("a", "T", deadline_s=100.0)
    await pool.advance(DUE_S + 1)
    assert pool.task("T").status == "queued"


async def test_a_stale_holder_is_stuck_once_and_quietly(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(stuck_threshold_s=100.0))
    token = await pool.holds("a", "T")
    await pool.given("agent.a.progress", task_id="T", token=token, percent=10)
    await pool.advance(100)
    assert pool.task("T").status == "in_progress", "both comparisons are strict"
    await pool.advance(0.001)
    assert pool.task("T").status == "stuck"
    await pool.advance(5000)
    assert len(pool.events(Stuck)) == 1


async def test_what_finished_meanwhile_is_counted_and_never_overwritten(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.given("agent.a.complete", task_id="T", token=token)
    position = pool.position
    answer = await pool.service.access.ask(Judge(("T", "gone")), "sweeper", "judge")
    assert answer.result == {"already_finished": 2}
    assert pool.position == position
    await pool.service.sweeper._judge(["T"])  # noqa: SLF001 - a race that no test can stage
    assert pool.service.sweeper.findings == {"already_finished": 1}


async def test_many_at_once_are_judged_together(pool: PoolHarness) -> None:
    await pool.register("a", capacity=500)
    for number in range(350):
        pool.post("ops.submit", {"title": str(number)})
    await pool.rest()
    for _ in range(4):
        await pool.given("agent.a.claim", max=100)
    appends = len(pool.log.append_sizes)
    with pool.log.held():
        await pool.advance(DUE_S + 1)
        tasks = pool.service.memory.state.tasks.values()
        assert [task.status for task in tasks] == ["queued"] * 350, "one is decided while the other is appended"
        assert len(pool.log.append_sizes) == appends
    await pool.rest()
    assert sorted(pool.log.append_sizes[appends:]) == [300, 400]
    assert pool.service.sweeper.findings == {"requeued": 350}


async def test_one_task_that_cannot_be_judged_does_not_stop_the_others(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = [f"T{number}" for number in range(10)]
    await pool.holds("a", *tasks)
    judged: list[str] = []

    def faulty(task: Task, state: Pool, rules: Rules) -> DueMoments:
        if task.task_id == "T4":
            judged.append("T4")
            raise ZeroDivisionError
        return due_moments(task, state, rules)

    monkeypatch.setattr(judging, "due_moments", faulty)
    await pool.advance(DUE_S + 1)
    assert [task_id for task_id in tasks if pool.task(task_id).status != "queued"] == ["T4"]
    assert "task T4 could not be judged" in caplog.text

    await pool.holds("a", "later", lease={"mode": "fixed", "lease_s": 5.0, "grace_s": 0.0})
    jumps = pool.clock.jumps
    await pool.advance(5.1)
    assert pool.task("later").status == "queued", "judged on time, beside the one that cannot be"
    await pool.advance(290)
    assert pool.clock.jumps - jumps < 400, "nothing spins"
    assert 2 <= len(judged) <= 6

    monkeypatch.undo()
    await pool.advance(310)
    assert pool.task("T4").attempt > 1


async def test_a_sweep_that_fails_is_tried_again(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.holds("a", "T")

    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sweeper.Sweeper, "_judge", broken)
    await pool.advance(DUE_S + 3)
    assert "a sweep failed" in caplog.text
    assert len(caplog.records) < 10
    monkeypatch.undo()
    await pool.advance(2)
    assert pool.task("T").status == "queued"


async def test_what_falls_due_during_a_sweep_is_judged_right_after_it(pool: PoolHarness) -> None:
    await pool.holds("a", "T", lease={"mode": "fixed", "lease_s": 10, "grace_s": 0})
    await pool.holds("a", "U", lease={"mode": "fixed", "lease_s": 10.2, "grace_s": 0})
    with pool.log.held():
        await pool.advance(10.1)
        await pool.advance(0.3)
    await pool.rest()
    await pool.advance(0.001)
    assert [pool.task(task_id).status for task_id in ("T", "U")] == ["queued", "queued"]


async def test_a_judgement_that_comes_to_nothing_does_not_spin(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.holds("a", "T")

    def nothing(view: SearchablePoolView, request: Request, now: object, rules: Rules) -> Decision:
        if isinstance(request.command, Judge):
            return Decision([], {}, {"nothing": 1})
        return decide(view, request, pool.clock.now(), rules)

    monkeypatch.setattr(deciding, "decide", nothing)
    jumps = pool.clock.jumps
    await pool.advance(DUE_S + 100)
    assert pool.clock.jumps - jumps < 700
    monkeypatch.undo()
    await pool.advance(2)
    assert pool.task("T").status == "queued"


async def test_what_came_to_nothing_is_judged_a_second_later_also_if_the_wall_clock_was_set_back(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool.holds("a", "T")

    def nothing(view: SearchablePoolView, request: Request, now: datetime, rules: Rules) -> Decision:
        return (
            Decision([], {}, {"nothing": 1})
            if isinstance(request.command, Judge)
            else decide(view, request, now, rules)
        )

    monkeypatch.setattr(deciding, "decide", nothing)
    await pool.advance(DUE_S + 60)
    monkeypatch.undo()
    pool.clock.set_back(30)
    await pool.advance(2.1)
    assert pool.task("T").status == "queued"


async def test_its_cost_does_not_follow_what_is_alive(pool: PoolHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def counted(task: Task, state: Pool, rules: Rules) -> datetime | None:
        looked_at.append(task.task_id)
        return due_at(task, state, rules)

    await pool.register("a", capacity=500)
    for number in range(480):
        pool.post("ops.submit", {"title": str(number), "lease": {"mode": "fixed", "lease_s": 9000.0}})
    await pool.rest()
    for _ in range(5):
        await pool.given("agent.a.claim", max=100)
    await pool.holds("b", "T0")
    await pool.advance(DUE_S + 60)
    monkeypatch.setattr(due_times, "due_at", counted)
    for number in range(1, 10):
        await pool.given("agent.b.heartbeat")
        await pool.holds("b", f"T{number}")
        await pool.advance(DUE_S + 60)
        assert pool.task(f"T{number}").status == "queued"
    assert len(looked_at) < 100
