"""Moving named tasks from one agent to another, planned in one append and done in the next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.actors import STEALER
from domain.commands.service_commands import ExecuteSteal, MarkLost, PlanMove, PlanSteal
from domain.events import steal as steal_ev
from domain.events import task as ev
from domain.lifecycles import StealStatus, TaskStatus
from domain.policies.load_balancing import StealConfig, StealPolicy
from domain.request import Request
from domain.rules import Rules
from tests.support.scenario import OPS, Scenario, Step

MOVED = ["planned", "executing", "stolen", "completed"]


def overloaded(s: Scenario, tasks: int = 9) -> None:
    """Given A with so many assigned tasks, T1 first, and B with none."""
    s.holds("A", *(f"T{number}" for number in range(1, tasks + 1)), capacity=20)
    s.given("B", "register", capacity=20)


def plan(s: Scenario, most: int = 2) -> Step:
    return s.asks(PlanSteal("S1", "A", "B", most, 3.9), actor="stealer")


def move(s: Scenario, *task_ids: str) -> Step:
    return s.asks(PlanMove(f"M{s.state.position}", "A", "B", task_ids or ("T9", "T8"), 90.5), actor="stealer")


def test_a_pass_moves_the_latest_assigned_tasks_in_one_append_of_its_own() -> None:
    s = Scenario()
    overloaded(s)

    step = plan(s).then("planned", "executing", "stolen", "stolen", "completed")

    assert step.appends == (1, 4)
    planned = step.event(steal_ev.Planned)
    assert planned.task_ids == ("T9", "T8")
    assert (planned.from_agent, planned.to_agent, planned.reason, planned.score) == ("A", "B", "load", 3.9)
    assert (planned.source_tasks, planned.target_tasks) == (9, 0)
    done = step.event(steal_ev.StealCompleted)
    assert (done.moved, done.skipped) == (2, ())
    assert (done.source_tasks_before, done.source_tasks_after) == (9, 7)
    assert (done.target_tasks_before, done.target_tasks_after) == (0, 2)
    assert step.result == {"operation_id": "S1", "task_ids": ["T9", "T8"]}


def test_each_moved_task_is_a_new_attempt_under_a_new_token_on_a_new_lease() -> None:
    s = Scenario()
    old = s.holds("A", "T")
    s.given("B", "register")

    step = s.at(100).when(OPS, "steal", from_="A", to="B", task_ids=["T"]).then(*MOVED)

    event = step.event(ev.Stolen)
    assert (event.token, event.previous_token) == (step.records[2].position, old)
    assert (event.from_agent, event.agent_id, event.attempt) == ("A", "B", 2)
    assert s.seconds_until(event.expires_at) == 280
    s.when("A", "start", task_id="T", token=old).refused("stale_token")
    s.when("B", "start", task_id="T", token=event.token).then("started")


@pytest.mark.parametrize(
    ("source_tasks", "target_tasks", "config", "moved"),
    [
        (9, 0, StealConfig(), 2),
        (9, 1, StealConfig(max_steal_batch=10), 4),
        (9, 0, StealConfig(max_steal_batch=10), 4),
        (9, 0, StealConfig(steal_threshold=10), 0),
        (8, 0, StealConfig(), 0),
        (12, 2, StealConfig(), 0),
    ],
    ids=[
        "a batch",
        "half the difference",
        "half, rounded down",
        "below the threshold",
        "not overloaded",
        "no room to fill",
    ],
)
def test_how_many_a_pass_moves(source_tasks: int, target_tasks: int, config: StealConfig, moved: int) -> None:
    s = Scenario(Rules(steal=config))
    overloaded(s, source_tasks)
    for number in range(target_tasks):
        s.holds("B", f"B{number}")

    assert plan(s, most=100).names.count("stolen") == moved


def test_how_many_tasks_are_too_many_is_a_setting() -> None:
    s = Scenario(Rules(steal=StealConfig(overloaded_above_tasks=3)))
    overloaded(s, 4)
    assert plan(s).names.count("stolen") == 2
    s = Scenario(Rules(steal=StealConfig(overloaded_above_tasks=4)))
    overloaded(s, 4)
    assert plan(s).names == []


def test_a_busy_machine_is_overloaded_too() -> None:
    s = Scenario()
    overloaded(s, 4)
    assert plan(s).names == []
    s.given("A", "heartbeat", load={"cpu": 81.0})
    assert plan(s).names.count("stolen") == 2


@pytest.mark.parametrize(
    ("policy", "heard_s"),
    [(StealPolicy.THRESHOLD, 180), (StealPolicy.BALANCE, 30)],
    ids=["within a first term", "within the longest wait of a claim"],
)
def test_nothing_is_planned_for_a_target_that_was_not_heard_lately(policy: StealPolicy, heard_s: float) -> None:
    s = Scenario(Rules(steal=StealConfig(policy=policy)))
    overloaded(s, 9)
    asked = plan if policy is StealPolicy.THRESHOLD else move
    s.at(heard_s + 0.1)
    assert asked(s).names == []
    s.given("B", "heartbeat")
    s.at(2 * heard_s + 0.1)
    assert asked(s).names.count("stolen") == 2


def test_a_move_is_planned_of_the_named_tasks_that_can_still_move() -> None:
    s = Scenario()
    overloaded(s, 4)
    s.given("A", "start", task_id="T3", token=s.token("T3"))

    step = move(s, "T4", "T3", "T2").then("planned", "executing", "stolen", "stolen", "completed")

    assert step.appends == (1, 4)
    planned = step.event(steal_ev.Planned)
    assert (planned.task_ids, planned.gain_s, planned.score, planned.reason) == (("T4", "T2"), 90.5, None, "load")
    assert move(s, "T3").names == [], "it was begun"
    assert move(s, "T4").names == [], "its holder is another one"


def test_a_move_takes_no_more_than_the_target_has_room_for() -> None:
    s = Scenario()
    s.holds("A", "T1", "T2", "T3", capacity=20)
    s.given("B", "register", capacity=1)
    assert move(s, "T3", "T2").event(steal_ev.Planned).task_ids == ("T3",)
    assert move(s, "T2").names == []


def test_no_move_leaves_an_agent_that_is_lost() -> None:
    s = Scenario()
    overloaded(s, 3)
    s.asks(MarkLost("A", 700.0))
    assert move(s, "T3").names == []


def test_a_plan_that_a_restart_left_is_given_up_when_its_target_was_not_heard_since() -> None:
    s = Scenario()
    overloaded(s, 9)
    decision = s.decide(Request(PlanSteal("op", "A", "B", 2, 1.0), STEALER, "c", verb="steal"))
    s.state.apply(decision)
    s.store(decision.records)
    s.at(181)
    s.asks(ExecuteSteal("op"), actor=STEALER).then("failed")


def test_a_pass_moves_no_more_than_the_target_has_room_for() -> None:
    s = Scenario()
    s.holds("A", *(f"T{number}" for number in range(9)), capacity=20)
    s.given("B", "register", capacity=1)
    assert plan(s).names.count("stolen") == 1


def closed_pool(s: Scenario) -> None:
    s.given(OPS, "pause")


def draining_target(s: Scenario) -> None:
    s.given(OPS, "drain", agent_id="B")


def paused_target(s: Scenario) -> None:
    s.given(OPS, "pause", agent_id="B")


def lost_target(s: Scenario) -> None:
    s.asks(MarkLost("B", 700.0))


def target_gone(s: Scenario) -> None:
    s.given("B", "deregister")


CLOSED: list[tuple[Callable[[Scenario], None], str]] = [
    (closed_pool, "paused"),
    (draining_target, "paused"),
    (paused_target, "paused"),
    (lost_target, "paused"),
    (target_gone, "unknown_agent"),
]


def test_who_is_lost_is_no_source() -> None:
    s = Scenario()
    overloaded(s)
    s.asks(MarkLost("A", 700.0))

    assert plan(s).names == []
    s.when(OPS, "steal", from_="A", to="B", task_ids=["T1"]).refused("paused")


@pytest.mark.parametrize("gate", ["drain", "pause"])
def test_what_a_draining_or_paused_agent_has_not_started_may_be_moved(gate: str) -> None:
    s = Scenario()
    overloaded(s)
    s.given("A", "start", task_id="T9", token=s.token("T9"))
    s.given(OPS, gate, agent_id="A")

    assert plan(s).event(steal_ev.Planned).task_ids == ("T8", "T7")
    s.when(OPS, "steal", from_="A", to="B", task_ids=["T1"]).then(*MOVED)
    assert s.when(OPS, "steal", from_="A", to="B", count=200).names.count("stolen") == 5
    assert list(s.state.held_by("A")) == ["T9"]
    s.when(OPS, "steal", from_="A", to="B").refused("illegal_transition")


@pytest.mark.parametrize(("close", "code"), CLOSED, ids=[close.__name__ for close, _ in CLOSED])
def test_who_takes_no_grants_is_no_target(close: Callable[[Scenario], None], code: str) -> None:
    s = Scenario()
    overloaded(s)
    close(s)

    assert plan(s).names == []
    s.when(OPS, "steal", from_="A", to="B", task_ids=["T1"]).refused(code)


@pytest.mark.parametrize(("close", "code"), CLOSED, ids=[close.__name__ for close, _ in CLOSED])
def test_a_plan_that_nothing_can_follow_fails(close: Callable[[Scenario], None], code: str) -> None:
    s = Scenario()
    overloaded(s)
    decision = s.decide(s.request(OPS, "steal", from_="A", to="B", task_ids=["T1"]))
    s.state.apply(decision)
    s.store(decision.records)
    operation_id = decision.records[0].entity_id
    close(s)

    step = s.asks(ExecuteSteal(operation_id)).then("failed")

    assert step.result == {"operation_id": operation_id, "task_ids": []}
    assert step.event(steal_ev.StealFailed).skipped == ("T1",)
    steal = s.state.steal(operation_id)
    assert steal is not None
    assert steal.status is StealStatus.FAILED
    s.asks(ExecuteSteal(operation_id)).then()


def test_what_was_started_between_plan_and_move_stays() -> None:
    s = Scenario()
    overloaded(s, 2)
    decision = s.decide(s.request(OPS, "steal", from_="A", to="B", task_ids=["T1", "T2"]))
    s.state.apply(decision)
    s.store(decision.records)
    s.given("A", "start", task_id="T1", token=s.token("T1"))
    assert decision.follow_up is not None

    step = s.send(decision.follow_up).then("executing", "stolen", "completed")

    assert step.event(steal_ev.StealCompleted).skipped == ("T1",)
    assert [s.lease(task_id).agent_id for task_id in ("T1", "T2")] == ["A", "B"]


def test_a_task_is_not_stolen_again_within_the_cooldown() -> None:
    s = Scenario(Rules(steal=StealConfig(cooldown_s=60.0)))
    overloaded(s, 1)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T1"])

    s.at(59.9).when(OPS, "steal", from_="B", to="A", task_ids=["T1"]).refused("illegal_transition")
    s.at(60).when(OPS, "steal", from_="B", to="A", task_ids=["T1"]).then(*MOVED)


def test_the_target_must_have_every_capability_that_the_task_requires() -> None:
    s = Scenario()
    s.given("A", "register", capabilities=["gpu"], capacity=9)
    s.given("B", "register", capabilities=["web"], capacity=9)
    s.holds("A", "T1", required_capabilities=["gpu"])
    s.holds("A", "T2")

    s.when(OPS, "steal", from_="A", to="B", task_ids=["T1"]).refused("illegal_transition")
    assert s.when(OPS, "steal", from_="A", to="B", count=2).event(steal_ev.Planned).task_ids == ("T2",)


def test_a_pass_gives_no_agent_a_task_that_it_failed_last() -> None:
    s = Scenario()
    s.given("A", "register", capacity=20)
    s.given("B", "register", capacity=20)
    s.holds("B", "T9")
    s.given("B", "fail", task_id="T9", token=s.token("T9"), error="no")
    s.holds("A", *(f"T{number}" for number in range(1, 9)))
    s.wait(2).given(OPS, "assign", task_id="T9", agent_id="A")

    assert plan(s).event(steal_ev.Planned).task_ids == ("T8", "T7")
    s.when(OPS, "steal", from_="A", to="B", task_ids=["T9"]).then(*MOVED)


def test_named_tasks_need_room_for_all_of_them() -> None:
    s = Scenario()
    s.holds("A", "T1", "T2")
    s.given("B", "register", capacity=1)
    s.when(OPS, "steal", from_="A", to="B", task_ids=["T1", "T2"]).refused("at_capacity")
    s.when(OPS, "steal", from_="A", to="B", task_ids=["T1", "T1"]).then(*MOVED)


@pytest.mark.parametrize(
    ("body", "moved"),
    [({"count": 3}, 3), ({"count": 200}, 4), ({}, 2)],
    ids=["a count", "all there are", "by the rule"],
)
def test_an_operator_names_tasks_or_a_number_of_them(body: dict[str, int], moved: int) -> None:
    s = Scenario()
    overloaded(s, 4)
    step = s.given(OPS, "steal", **{"from_": "A", "to": "B", **body})
    assert step.names.count("stolen") == moved


def test_nothing_to_move_is_refused() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", "start", task_id="T", token=token)
    s.given("B", "register")
    s.when(OPS, "steal", from_="A", to="B").refused("illegal_transition")
    s.when(OPS, "steal", from_="A", to="X").refused("unknown_agent")


def test_a_moved_task_is_the_newest_of_its_new_holder() -> None:
    s = Scenario()
    overloaded(s, 2)
    s.holds("B", "B1")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T1"])
    assert list(s.state.held_by("B")) == ["B1", "T1"]
    assert s.task("T1").status is TaskStatus.ASSIGNED
