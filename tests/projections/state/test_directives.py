"""Who is told to stop working on what, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from projections.state import directives as directives_module
from projections.state.directives import Directives
from tests.domain.situations import LONG_AGO_S
from tests.support.scenario import OPS, Scenario


def told(s: Scenario, agent_id: str = "A") -> list[tuple[str, str]]:
    """Fold the whole log; return the tasks that the agent is to stop, with the reasons."""
    directives = Directives()
    for recorded in s.log:
        directives.observe([recorded])
    assert all(each["do"] == "stop" for each in directives.stops(agent_id))
    return [(each["task_id"], each["reason"]) for each in directives.stops(agent_id)]


def cancelled(s: Scenario) -> None:
    s.given(OPS, "cancel", task_id="T", reason="no longer wanted")


def revoked(s: Scenario) -> None:
    s.given(OPS, "revoke", task_id="T")


def stolen(s: Scenario) -> None:
    s.given("B", "register")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T"])


def swept(s: Scenario) -> None:
    s.sweep(at=LONG_AGO_S)


@pytest.mark.parametrize(
    ("taken", "definition", "reason"),
    [
        (cancelled, {}, "no longer wanted"),
        (revoked, {}, "revoked"),
        (stolen, {}, "moved to B"),
        (swept, {}, "your lease expired"),
        (swept, {"deadline_s": 10.0}, "deadline exceeded by sweeper"),
    ],
    ids=["cancelled", "revoked", "stolen", "expired", "over its deadline"],
)
def test_a_holder_that_lost_its_task_is_told_to_stop(taken: Any, definition: dict[str, Any], reason: str) -> None:
    s = Scenario()
    s.holds("A", "T", **definition)
    taken(s)
    assert told(s) == [("T", reason)]


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("release", {}),
        ("block", {"reason": "x"}),
        ("complete", {}),
        ("fail", {"error": "x"}),
        ("fail", {"error": "x", "retryable": False}),
    ],
)
def test_a_holder_that_let_go_itself_is_told_nothing(verb: str, body: dict[str, Any]) -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", verb, task_id="T", token=token, **body)
    assert told(s) == []


def test_a_task_that_was_not_held_makes_no_directive() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    s.given(OPS, "cancel", task_id="T")
    assert told(s) == []


def test_a_directive_ends_when_the_agent_is_heard_on_the_task_is_granted_it_again_or_leaves() -> None:
    s = Scenario()
    s.holds("A", "T", "T2")
    for task_id in ("T", "T2"):
        s.given(OPS, "revoke", task_id=task_id)
    assert [task_id for task_id, _ in told(s)] == ["T", "T2"]

    s.given(OPS, "assign", task_id="T", agent_id="A")
    assert [task_id for task_id, _ in told(s)] == ["T2"]
    s.given("A", "deregister")
    assert told(s) == []


def test_obeying_ends_one_directive_and_is_no_error_without_one() -> None:
    s = Scenario()
    s.holds("A", "T", "T2")
    directives = Directives()
    for task_id in ("T", "T2"):
        s.given(OPS, "revoke", task_id=task_id)
    for recorded in s.log:
        directives.observe([recorded])

    directives.obeyed("A", "T", s.state.position)
    directives.obeyed("A", "T", s.state.position)
    directives.obeyed("X", "T", s.state.position)

    assert [each["task_id"] for each in directives.stops("A")] == ["T2"]


def test_a_directive_is_not_obeyed_by_a_command_that_was_decided_before_it() -> None:
    s = Scenario()
    s.holds("A", "T")
    directives, before = Directives(), s.state.position
    s.given(OPS, "revoke", task_id="T")
    for recorded in s.log:
        directives.observe([recorded])

    directives.obeyed("A", "T", before)
    assert [each["task_id"] for each in directives.stops("A")] == ["T"]
    directives.obeyed("A", "T", before + 1)
    assert directives.stops("A") == []


def test_the_oldest_directives_are_dropped_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directives_module, "MAX_DIRECTIVES", 2)
    s = Scenario()
    s.holds("A", "T1", "T2", "T3")
    for task_id in ("T1", "T2", "T3"):
        s.given(OPS, "revoke", task_id=task_id)
    assert [task_id for task_id, _ in told(s)] == ["T2", "T3"]
