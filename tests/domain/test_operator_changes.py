"""What operators change and note: update, retry, annotate, many submits at once, agents that are taken out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from domain.agent import Agent
from domain.commands.service_commands import MarkLost
from domain.decisions import membership
from domain.events.agent import AgentNoted, Deregistered
from domain.events.task import Leased, Noted, Submitted, Updated
from domain.lifecycles import TERMINAL, AgentStatus
from domain.limits import MAX_RETRIES_NAMED
from domain.task import definition_of
from domain.timestamps import after
from domain.values import Priority
from tests.domain.situations import SITUATIONS
from tests.support.scenario import OPS, START, Scenario

ERIKA = "ops/erika"
ENDED = [name for name, (status, _) in SITUATIONS.items() if status in TERMINAL]
LIVE = [name for name in SITUATIONS if name not in ENDED]


# Update


@pytest.mark.parametrize("situation", LIVE)
def test_what_has_not_ended_can_be_changed(situation: str) -> None:
    s = Scenario()
    SITUATIONS[situation][1](s)
    before = s.task("T")

    step = s.when(ERIKA, "update", task_id="T", priority="urgent", title="New", labels=["b", "a"], deadline_s=60)

    event = step.then("updated").event(Updated)
    assert (event.priority, event.title, event.labels) == (Priority.CRITICAL, "New", ("b", "a"))
    after = s.task("T")
    assert after.definition.deadline == event.deadline
    assert (after.status, after.attempt, after.lease, after.status_since) == (
        before.status,
        before.attempt,
        before.lease,
        before.status_since,
    )
    assert after.definition.request_digest == before.definition.request_digest


@pytest.mark.parametrize("situation", ENDED)
def test_what_has_ended_stays_as_it_was(situation: str) -> None:
    s = Scenario()
    SITUATIONS[situation][1](s)
    s.when(ERIKA, "update", task_id="T", title="New").refused("task_finished")


def test_what_stays_the_same_is_not_recorded() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", title="Old", priority="high", labels=["a"])
    s.when(ERIKA, "update", task_id="T", title="Old", priority="high", labels=["a"]).then()
    event = s.when(ERIKA, "update", task_id="T", title="Old", priority="low").then("updated").event(Updated)
    assert (event.title, event.priority) == (None, Priority.LOW)
    s.when(ERIKA, "update", task_id="T", labels=[]).then("updated")
    assert s.task("T").definition.labels == ()


def test_a_task_that_became_urgent_is_granted_first() -> None:
    s = Scenario()
    s.given("A", "register", capacity=5)
    for task_id in ("one", "two"):
        s.given(OPS, "submit", task_id=task_id)
    s.given(ERIKA, "update", task_id="two", priority="critical")
    assert [lease["task_id"] for lease in s.given("A", "claim", max=2).result["leases"]] == ["two", "one"]


def test_a_new_deadline_counts() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", deadline_s=1000)
    s.given(ERIKA, "update", task_id="T", deadline_s=60)
    s.sweep(at=50).then()
    s.sweep(at=61).then("failed")


def test_a_deadline_can_be_taken_away() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", deadline_s=60)
    event = s.when(ERIKA, "update", task_id="T", no_deadline=True).then("updated").event(Updated)
    assert (event.no_deadline, event.deadline) == (True, None)
    assert s.task("T").definition.deadline is None
    s.when(ERIKA, "update", task_id="T", no_deadline=True).then()
    s.sweep(at=61).then()
    s.given(ERIKA, "update", task_id="T", deadline_s=10)
    s.sweep(at=72).then("failed")


def test_without_a_deadline_a_task_may_wait_beyond_the_one_it_had() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", deadline_s=60)
    s.when(ERIKA, "update", task_id="T", delay_s=100).refused("invalid_command")
    s.when(ERIKA, "update", task_id="T", delay_s=100, no_deadline=True).then("updated")


def test_a_deadline_that_has_passed_is_refused() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.when(ERIKA, "update", task_id="T", deadline="2026-11-21T07:59:59Z").refused("invalid_command")


@pytest.mark.parametrize(
    ("body", "at"),
    [({"not_before": "2026-11-21T08:01:40Z"}, 100.0), ({"delay_s": 50}, 50.0), ({"delay_s": 0}, 0.0)],
    ids=["later, at a moment", "earlier, by seconds", "at once"],
)
@pytest.mark.parametrize("waits", ["submitted", "released", "failed", "ready"])
def test_when_a_queued_task_may_be_granted_can_be_changed(body: dict[str, Any], at: float, waits: str) -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", retry={"delay_s": 80}, **({"delay_s": 80} if waits == "submitted" else {}))
    if waits in {"released", "failed"}:
        s.given(OPS, "assign", task_id="T", agent_id="A")
        end: dict[str, Any] = {"delay_s": 80} if waits == "released" else {"error": "no"}
        s.given("A", "release" if waits == "released" else "fail", task_id="T", token=s.token("T"), **end)

    step = s.given(ERIKA, "update", task_id="T", **body)

    if waits == "ready" and at == 0:
        step.then()
    else:
        assert step.then("updated").event(Updated).not_before == after(START, at)
    if at:
        assert s.at(at - 0.001).given("A", "claim").result["leases"] == []
    s.at(at).given("A", "claim").event(Leased)


def test_another_agent_is_preferred_as_long_after_a_new_time_as_after_the_first() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given("B", "register")
    s.given(OPS, "submit", task_id="T", retry={"delay_s": 10, "max_delay_s": 10})
    s.given(OPS, "assign", task_id="T", agent_id="A")
    s.given("A", "fail", task_id="T", token=s.token("T"), error="no")
    s.given(ERIKA, "update", task_id="T", delay_s=100)
    assert s.at(109.9).given("A", "claim").result["leases"] == []
    s.at(110).given("A", "claim").event(Leased)


def test_the_time_of_a_task_is_not_recorded_when_it_stays_the_same() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", not_before="2026-11-21T08:10:00Z")
    s.when(ERIKA, "update", task_id="T", not_before="2026-11-21T08:10:00Z").then()
    s.when(OPS, "submit", task_id="T", not_before="2026-11-21T08:10:00Z").then()
    s.given(ERIKA, "update", task_id="T", not_before="2026-11-21T08:20:00Z")
    for minutes in (10, 20):
        same = s.when(OPS, "submit", task_id="T", not_before=f"2026-11-21T08:{minutes}:00Z").then()
        assert same.result["was"] == "known"


@pytest.mark.parametrize("situation", [name for name in LIVE if SITUATIONS[name][0] != "queued"])
def test_only_a_queued_task_is_given_a_time(situation: str) -> None:
    s = Scenario()
    SITUATIONS[situation][1](s)
    s.when(ERIKA, "update", task_id="T", title="New", delay_s=5).refused("illegal_transition")


@pytest.mark.parametrize(
    ("submitted", "changed", "field"),
    [
        ({"deadline_s": 100}, {"delay_s": 100}, "delay_s"),
        ({"deadline_s": 100}, {"not_before": "2026-11-21T09:00:00Z"}, "not_before"),
        ({"delay_s": 100}, {"deadline_s": 100}, "deadline_s"),
        ({"delay_s": 100}, {"deadline": "2026-11-21T08:01:00Z"}, "deadline"),
        ({}, {"delay_s": 100, "deadline_s": 50}, "delay_s"),
    ],
)
def test_a_time_must_leave_some_before_the_deadline(
    submitted: dict[str, Any], changed: dict[str, Any], field: str
) -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", **submitted)
    refusal = s.when(ERIKA, "update", task_id="T", **changed).refused("invalid_command")
    assert [each["field"] for each in refusal.details["fields"]] == [field]


def test_a_deadline_before_a_time_that_has_come_or_that_no_longer_counts_is_taken() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", delay_s=100)
    s.given(ERIKA, "update", task_id="T", delay_s=0, deadline_s=50)
    s.given(OPS, "submit", task_id="U", delay_s=100)
    s.at(100).given(ERIKA, "update", task_id="U", deadline_s=0)


def test_not_before_and_delay_s_of_an_update_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="not_before and delay_s exclude each other"):
        Scenario().request(OPS, "update", task_id="T", not_before="2026-11-21T09:00:00Z", delay_s=1)


def test_the_same_submit_again_is_known_after_an_update() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", title="Old")
    s.given(ERIKA, "update", task_id="T", title="New", priority="high")
    assert s.when(OPS, "submit", task_id="T", title="Old").then().result["was"] == "known"
    assert s.when(OPS, "submit", task_id="T", title="New", priority="high").then().result["was"] == "known"
    s.when(OPS, "submit", task_id="T", title="Other").refused("task_exists")


# Retry


@pytest.mark.parametrize("situation", ["failed by its holder", "cancelled while held", "cancelled while queued"])
def test_a_failed_or_cancelled_task_is_submitted_again_and_each_names_the_other(situation: str) -> None:
    s = Scenario()
    SITUATIONS[situation][1](s)
    before = s.task("T")

    step = s.when(ERIKA, "retry", task_id="T", reason="fixed").then("submitted", "noted")

    assert step.result == {"task_id": "T-r1", "retry_of": "T", "was": "new"}
    definition = step.event(Submitted)
    assert definition_of(definition) == replace(before.definition, retry_of="T")
    assert (s.task("T-r1").status, s.task("T-r1").attempt) == ("queued", 1)
    assert (s.task("T").status, s.task("T").outcome) == (before.status, before.outcome)
    assert s.task("T").retries == ("T-r1",)
    note = step.event(Noted)
    assert (note.kind, note.retried_as, note.note) == ("retried", "T-r1", "fixed")


@pytest.mark.parametrize("situation", [*LIVE, "completed"])
def test_nothing_else_is_retried(situation: str) -> None:
    s = Scenario()
    SITUATIONS[situation][1](s)
    s.when(ERIKA, "retry", task_id="T").refused("illegal_transition")


def test_each_retry_gets_the_first_name_that_is_free() -> None:
    s = Scenario()
    SITUATIONS["cancelled while queued"][1](s)
    s.given(OPS, "submit", task_id="T-r2")
    names = [s.given(ERIKA, "retry", task_id="T").result["task_id"] for _ in range(MAX_RETRIES_NAMED - 1)]
    assert names == [f"T-r{number}" for number in range(1, MAX_RETRIES_NAMED + 1) if number != 2]
    assert s.task("T").retries == tuple(names)
    s.when(ERIKA, "retry", task_id="T").refused("task_exists")
    assert s.given(ERIKA, "retry", task_id="T", new_id="mine").result["task_id"] == "mine"


def test_a_retry_under_a_given_name_is_one_task_however_often_it_is_asked_for() -> None:
    s = Scenario()
    SITUATIONS["cancelled while queued"][1](s)
    s.given(ERIKA, "retry", task_id="T", new_id="again")
    assert s.when(ERIKA, "retry", task_id="T", new_id="again").then().result["was"] == "known"
    s.given(OPS, "cancel", task_id="again")
    assert s.when(ERIKA, "retry", task_id="T", new_id="again").then().result["was"] == "ended"
    s.given(OPS, "submit", task_id="other")
    s.when(ERIKA, "retry", task_id="T", new_id="other").refused("task_exists")


def test_a_deadline_that_has_passed_is_set_anew_and_one_that_is_to_come_stays() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="late", deadline_s=60)
    s.given(OPS, "submit", task_id="early", deadline_s=10_000)
    s.sweep(at=100).then("failed")
    s.given(OPS, "cancel", task_id="early")
    s.at(200)
    for task_id, deadline_s in (("late", 260), ("early", 10_000)):
        event = s.when(ERIKA, "retry", task_id=task_id).event(Submitted)
        assert event.deadline is not None
        assert s.seconds_until(event.deadline) == deadline_s


def test_a_name_that_becomes_too_long_has_to_be_given() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="x" * 128)
    s.given(OPS, "cancel", task_id="x" * 128)
    s.when(ERIKA, "retry", task_id="x" * 128).refused("invalid_command")


# Notes


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_note_beside_a_task_changes_nothing_else(situation: str) -> None:
    s = Scenario()
    SITUATIONS[situation][1](s)
    before = s.task("T")

    step = s.when(ERIKA, "annotate", task_id="T", kind="review", note="looks odd", data={"score": 2})

    event = step.then("noted").event(Noted)
    assert (event.kind, event.note, event.data) == ("review", "looks odd", {"score": 2})
    after = s.task("T")
    assert (after.status, after.lease, after.outcome) == (before.status, before.lease, before.outcome)
    assert step.result == {"task_id": "T"}


def test_a_note_beside_an_agent_changes_nothing_else() -> None:
    s = Scenario()
    s.given("A", "register")
    for status in (AgentStatus.LIVE, AgentStatus.LOST, AgentStatus.DEREGISTERED):
        if status is AgentStatus.LOST:
            s.asks(MarkLost("A", 700.0))
        elif status is AgentStatus.DEREGISTERED:
            s.given(ERIKA, "deregister", agent_id="A")
        step = s.when(ERIKA, "annotate", agent_id="A", kind="hardware", note="a new disk").then("noted")
        assert step.event(AgentNoted).note == "a new disk"
        assert s.agent("A").status is status
    s.given("A", "register")


def test_a_note_needs_something_that_is_there() -> None:
    s = Scenario()
    s.when(ERIKA, "annotate", task_id="X", kind="k").refused("unknown_task")
    s.when(ERIKA, "annotate", agent_id="X", kind="k").refused("unknown_agent")


def test_notes_on_what_has_left_memory_are_folded_or_passed_over_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.state.ended_entities.RECENT_ENTITIES", 2)
    s = Scenario()
    s.given("A", "register")
    s.given("A", "deregister")
    for task_id in ("T", "U", "V", "W"):
        s.given(OPS, "submit", task_id=task_id)
        s.given(OPS, "cancel", task_id=task_id)
    s.when(ERIKA, "annotate", task_id="T", kind="k").then("noted")
    s.when(ERIKA, "annotate", agent_id="A", kind="k").then("noted")
    s.given("A", "register")
    assert s.agent("A").version == 4


# Many at once


def test_many_tasks_are_one_append() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="there")
    s.given(OPS, "submit", task_id="gone")
    s.given(OPS, "cancel", task_id="gone")
    tasks: list[dict[str, Any]] = [{"task_id": "there"}, {"task_id": "T"}, {"title": "x"}, {"task_id": "gone"}]

    step = s.when(OPS, "submit_many", tasks=[*tasks, {"task_id": "T"}]).then("submitted", "submitted")

    assert step.appends == (2,)
    assert [each["was"] for each in step.result["tasks"]] == ["known", "new", "new", "ended", "known"]
    assert step.result["tasks"][2]["task_id"] == step.records[1].entity_id


def test_of_many_tasks_all_are_submitted_or_none() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="there")
    tasks = [{"task_id": "T"}, {"task_id": "there", "title": "other"}]
    refusal = s.when(OPS, "submit_many", tasks=tasks).refused("task_exists")
    assert refusal.details["task_id"] == "there"
    assert s.state.task("T") is None


def test_a_thousand_tasks_may_be_submitted_at_once() -> None:
    s = Scenario()
    assert len(s.when(OPS, "submit_many", tasks=[{}] * 1000).records) == 1000


# Agents


def test_an_operator_takes_an_agent_out_and_what_it_holds_is_queued_again() -> None:
    s = Scenario()
    token = s.holds("A", "T", "U")
    step = s.when(ERIKA, "deregister", agent_id="A", reason="replaced")
    assert step.then("revoked", "requeued", "revoked", "requeued", "deregistered").result == {"released": 2}
    assert (step.event(Deregistered).reason, step.event(Deregistered).released) == ("replaced", 2)
    s.when("A", "progress", task_id="U", token=token, percent=1).refused("unknown_agent")
    s.when(ERIKA, "deregister", agent_id="A").refused("unknown_agent")
    s.given("A", "register")


def test_very_many_tasks_are_taken_in_several_appends() -> None:
    s = Scenario()
    s.given("A", "register", capacity=500)
    s.given(OPS, "submit_many", tasks=[{}] * 450)
    while s.given("A", "claim", max=100).result["leases"] and s.state.tasks_held("A") < 450:
        pass
    step = s.when(ERIKA, "deregister", agent_id="A")
    assert (len(step.appends), step.result) == (2, {"released": 450})


def test_those_that_were_heard_longest_ago_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "MAX_AGENTS_FORGOTTEN", 2)
    s = Scenario()
    for at, agent_id in enumerate(("c", "a", "d", "b")):
        s.at(at).given(agent_id, "register")
    s.at(900)
    for agent_id, silence_s in (("a", 899.0), ("b", 897.0), ("c", 900.0), ("d", 898.0)):
        s.asks(MarkLost(agent_id, silence_s))
    assert s.when(ERIKA, "forget", older_than_s=600).result == {"agent_ids": ["c", "a"], "more": True}
    assert s.when(ERIKA, "forget", older_than_s=897.5).result == {"agent_ids": ["d"], "more": False}
    assert s.when(ERIKA, "forget", older_than_s=600).result == {"agent_ids": ["b"], "more": False}


def test_who_is_to_be_forgotten_is_found_without_a_look_at_every_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    s = Scenario()
    for agent_id in ("live", "gone"):
        s.given(agent_id, "register")
    s.asks(MarkLost("gone", 700.0))
    monkeypatch.setattr(s.state, "agents", _NeverIterated(s.state.agents))
    assert list(s.state.lost_agents(s.now + timedelta(1), 500)) == ["gone"]


class _NeverIterated(dict[str, Agent]):
    def __iter__(self) -> NoReturn:
        raise AssertionError

    keys = values = items = __iter__


def test_agents_that_are_lost_for_long_and_hold_nothing_are_forgotten() -> None:
    s = Scenario()
    s.holds("holds", "T")
    for agent_id in ("long", "live", "short"):
        s.at({"short": 500}.get(agent_id, 0)).given(agent_id, "register")
    s.at(900)
    for agent_id in ("long", "short", "holds"):
        s.asks(MarkLost(agent_id, 700.0))
    s.given("live", "heartbeat")

    step = s.when(ERIKA, "forget", older_than_s=600).then("deregistered")

    assert step.result == {"agent_ids": ["long"], "more": False}
    assert set(s.state.agents) == {"holds", "live", "short"}
    s.when(ERIKA, "forget", older_than_s=600).then()
    s.given("long", "register")
