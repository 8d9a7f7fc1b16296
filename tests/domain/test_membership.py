"""What agents say of themselves, and what the pool makes of their silence."""

from __future__ import annotations

from typing import Any

import pytest

from domain.agent import evolve_agent
from domain.commands.service_commands import MarkLost
from domain.decisions import membership
from domain.events.agent import Deregistered, Heartbeat, Lost, Registered
from domain.lifecycles import AgentStatus
from domain.limits import MAX_EVENTS_PER_COMMAND
from domain.rules import Rules
from tests.support.scenario import OPS, Scenario

IDLE: dict[str, Any] = {"load": {"cpu": 10.0, "memory": 20.0}}
BUSY: dict[str, Any] = {"load": {"cpu": 95.0}}


def lost(s: Scenario, agent_id: str = "A") -> None:
    s.asks(MarkLost(agent_id, 700.0)).then("lost")


@pytest.mark.parametrize("told", [True, False], ids=["as told", "in a log that does not tell it, by its silence"])
def test_when_a_lost_agent_was_heard_last_is_on_record(*, told: bool) -> None:
    s = Scenario()
    s.given("A", "register")
    heard_at = s.at(300).now
    event = s.at(1_000).asks(MarkLost("A", 700.0, heard_at if told else None)).then("lost").event(Lost)
    assert event.heard_at == (heard_at if told else None)
    assert s.agent("A").last_heard_at == heard_at
    s.when(OPS, "forget", older_than_s=701.0).then()
    s.at(1_002).when(OPS, "forget", older_than_s=701.0).then("deregistered")


def test_an_agent_registers_and_is_told_what_it_holds() -> None:
    s = Scenario()
    step = s.when("A", "register", capabilities=["web", "gpu", "web"], capacity=2, labels=["x"]).then("registered")

    assert step.event(Registered) == Registered(
        capabilities=("gpu", "web"), capacity=2, labels=("x",), clears_load=True
    )
    assert step.result == {"leases": [], "directives": []}


def test_registering_again_updates_what_differs_and_else_says_nothing() -> None:
    s = Scenario()
    s.given("A", "register", capabilities=["gpu"])
    first = s.agent("A").registered_position

    s.when("A", "register", capabilities=["gpu", "gpu"]).then()
    s.when("A", "register", capabilities=["gpu"], capacity=3).then("registered")

    assert (s.agent("A").capacity, s.agent("A").registered_position) == (3, first)


def test_a_registration_after_the_end_sets_every_field_for_what_was_before_has_left_memory() -> None:
    s = Scenario()
    s.given("A", "register", capabilities=["gpu"], capacity=5, priority=2.0, labels=["x"], session="s1")
    s.given("A", "heartbeat", load={"cpu": 90.0})
    s.given(OPS, "pause", agent_id="A")
    lost(s.wait(701))
    s.given("A", "deregister")
    s.wait(10).given("A", "register")
    (again,) = [recorded for recorded in s.log[-1:] if isinstance(recorded.event, Registered)]

    assert evolve_agent(None, again) == s.agent("A")


@pytest.mark.parametrize(
    ("verb", "body"),
    [("heartbeat", {}), ("claim", {}), ("deregister", {}), ("start", {"task_id": "T", "token": 1})],
)
def test_an_agent_must_register_before_anything_else(verb: str, body: dict[str, Any]) -> None:
    Scenario().when("A", verb, **body).refused("unknown_agent")


def test_a_heartbeat_is_recorded_at_most_once_a_minute() -> None:
    s = Scenario()
    s.given("A", "register")

    s.when("A", "heartbeat", **IDLE, at=59.9).then()
    s.when("A", "heartbeat", **IDLE, at=60).then("heartbeat")
    s.when("A", "heartbeat", **IDLE, at=119.9).then()


def test_a_heartbeat_that_changes_the_load_status_is_recorded_at_once() -> None:
    s = Scenario()
    s.given("A", "register")

    assert s.when("A", "heartbeat", **BUSY).then("heartbeat").event(Heartbeat).load is not None
    s.when("A", "heartbeat", **BUSY).then()
    s.when("A", "heartbeat", load={"cpu": 81.0}).then()
    s.when("A", "heartbeat", load={"cpu": 80.0}).then("heartbeat")
    assert s.agent("A").cpu == 80.0


def test_a_heartbeat_without_a_load_keeps_the_last_one() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given("A", "heartbeat", **BUSY)
    s.when("A", "heartbeat", at=100).then("heartbeat")

    assert s.agent("A").cpu == 95.0


def test_register_and_heartbeat_list_what_the_agent_holds() -> None:
    s = Scenario()
    token = s.holds("A", "T1", "T2", capacity=5)
    s.given("A", "start", task_id="T2", token=token)
    s.holds("B", "T3")

    for verb in ("register", "heartbeat"):
        leases = s.given("A", verb, **({"capacity": 5} if verb == "register" else {})).result["leases"]
        assert [(lease["task_id"], lease["status"]) for lease in leases] == [("T1", "assigned"), ("T2", "in_progress")]
        assert leases[1] == {
            "task_id": "T2",
            "token": token,
            "expires_at": "2026-11-21T08:03:00.000000Z",
            "status": "in_progress",
        }


def test_an_agent_that_leaves_gives_everything_back() -> None:
    s = Scenario()
    token = s.holds("A", "T1", "T2", "T3")
    s.given("A", "start", task_id="T3", token=token)

    step = s.when("A", "deregister").then(*["released", "requeued"] * 3, "deregistered")

    assert step.result == {"released": 3}
    assert step.event(Deregistered).released == 3
    assert [s.task(task_id).attempt for task_id in ("T1", "T2", "T3")] == [2, 2, 2]
    s.when("A", "deregister").refused("unknown_agent")


def test_an_agent_that_leaves_a_stuck_task_gives_that_back_too() -> None:
    s = Scenario()
    s.holds("A", "T", on_silence="stuck")
    s.sweep(at=1000).then("stuck")

    s.when("A", "deregister").then("released", "requeued", "deregistered")


def test_a_very_large_holding_is_given_back_in_two_appends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * membership.RELEASES_AT_ONCE + 1 <= MAX_EVENTS_PER_COMMAND
    monkeypatch.setattr(membership, "RELEASES_AT_ONCE", 4)
    s = Scenario()
    s.given("A", "register", capacity=500)
    for number in range(5):
        s.given(OPS, "submit", task_id=f"T{number}")
    s.given("A", "claim", max=100)
    assert s.state.tasks_held("A") == 5

    step = s.when("A", "deregister", command_id="bye")

    assert step.appends == (8, 3)
    assert step.names[-1] == "deregistered"
    assert step.result == {"released": 5}
    assert step.event(Deregistered).released == 5
    assert [recorded.keyed for recorded in step.records] == [False] * 8 + [True] * 3
    assert s.state.tasks_held("A") == 0


def test_an_agent_that_left_may_come_back_as_the_last_in_line() -> None:
    s = Scenario()
    s.given("A", "register", capacity=2)
    s.given("B", "register", capacity=2)
    s.given(OPS, "drain", agent_id="A")
    s.given("A", "deregister")

    s.when("A", "register", capacity=2).then("registered")

    agent = s.agent("A")
    assert (agent.status, agent.accepts_grants) == (AgentStatus.LIVE, True)
    assert agent.registered_position > s.agent("B").registered_position


def test_an_agent_is_lost_once_and_only_if_it_is_live() -> None:
    s = Scenario()
    s.given("A", "register")

    event = s.asks(MarkLost("A", 700.0)).then("lost").event(Lost)
    assert (event.silence_s, event.threshold_s) == (700.0, 600.0)
    s.asks(MarkLost("A", 800.0)).then()
    s.asks(MarkLost("X", 800.0)).then()
    s.given("A", "deregister")
    s.asks(MarkLost("A", 900.0)).then()


def test_a_lost_agent_keeps_its_leases_and_gets_no_new_ones() -> None:
    s = Scenario()
    s.holds("A", "T1")
    lost(s)
    s.given(OPS, "submit", task_id="T2")

    assert s.lease("T1").agent_id == "A"
    s.when(OPS, "assign", task_id="T2").refused("at_capacity")


@pytest.mark.parametrize(
    ("verb", "body", "events"),
    [
        ("heartbeat", {}, ["heartbeat"]),
        ("heartbeat", BUSY, ["heartbeat"]),
        ("register", {"capacity": 5}, ["registered"]),
        ("register", {"capacity": 9}, ["registered"]),
        ("claim", {}, ["heartbeat"]),
        ("start", {"task_id": "T"}, ["started", "heartbeat"]),
        ("progress", {"task_id": "T", "percent": 1}, ["progressed", "heartbeat"]),
        ("release", {"task_id": "T"}, ["released", "requeued", "heartbeat"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_any_command_revives_a_lost_agent_once(verb: str, body: dict[str, Any], events: list[str]) -> None:
    s = Scenario()
    token = s.holds("A", "T", capacity=5)
    lost(s)

    s.when("A", verb, **body | ({"token": token} if "task_id" in body else {})).then(*events)

    assert s.agent("A").status is AgentStatus.LIVE


def test_a_lost_agent_may_leave() -> None:
    s = Scenario()
    s.holds("A", "T")
    lost(s)

    s.when("A", "deregister").then("released", "requeued", "deregistered")


def test_a_refused_command_of_a_lost_agent_appends_nothing() -> None:
    s = Scenario()
    s.given("A", "register")
    lost(s)

    s.when("A", "start", task_id="X", token=1).refused("unknown_task")
    assert s.agent("A").status is AgentStatus.LOST


@pytest.mark.parametrize("lost_after_s", [5.0, 600.0])
def test_the_threshold_is_on_record(lost_after_s: float) -> None:
    s = Scenario(Rules(lost_after_s=lost_after_s))
    s.given("A", "register")

    assert s.asks(MarkLost("A", 601.0)).event(Lost).threshold_s == lost_after_s
