"""What differs between two moments, whatever left memory in between."""

import pytest

from projections.queries.all_views import views_at
from projections.reports.diff import Diff, DiffBuilder
from projections.state import ended_entities
from projections.state.pool_state import PoolState
from projections.state.statistics import Statistics
from tests.support.scenario import OPS, Scenario


def compared(s: Scenario, earlier: int) -> Diff:
    state, statistics = PoolState("default", s.rules), Statistics()
    builder = None
    for recorded in s.log:
        if recorded.position == earlier + 1:
            builder = DiffBuilder(state, statistics.totals(), s.log[earlier - 1].time)
        state.fold(recorded)
        statistics.observe([recorded])
        if builder is not None:
            builder.observe(recorded)
    assert builder is not None
    return builder.result(statistics.totals(), s.now)


def test_every_task_that_ended_is_told_though_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_entities, "RECENT_ENTITIES", 2)
    s = Scenario()
    names = [f"T{number}" for number in range(6)]
    token = s.holds("A", *names)
    for name in names:
        s.given("A", "start", task_id=name, token=s.token(name))
    middle = s.log[-1].position
    for name in names:
        s.given(OPS, "cancel", task_id=name)
    s.when("A", "progress", task_id=names[-1], token=token, percent=5).refused("task_finished", "late_progress")
    found = compared(s, middle)
    assert [(each.id, each.change, each.differing()) for each in found.tasks] == [
        (name, "ended", ("status", "agent_id", "percent")) for name in names
    ]
    assert found.counts["tasks.cancelled"] == (0, 6)
    assert found.counts["tasks.in_progress"] == (6, 0)


def test_what_went_and_came_back_has_not_changed() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    middle = s.log[-1].position
    s.given(OPS, "pause", agent_id="A")
    s.given(OPS, "resume", agent_id="A")
    found = compared(s, middle)
    assert (found.tasks, found.agents, sum(found.by_event.values())) == ([], [], 2)


def test_agents_join_leave_and_change() -> None:
    s = Scenario()
    for name in "ABC":
        s.given(name, "register")
    middle = s.log[-1].position
    s.given("A", "deregister")
    s.given(OPS, "drain", agent_id="B")
    s.given("D", "register", capabilities=["gpu"])
    found = compared(s, middle)
    assert {each.id: each.change for each in found.agents} == {"A": "left", "B": "changed", "D": "joined"}
    assert next(each for each in found.agents if each.id == "B").differing() == ("intake",)
    assert found.counts["agents"] == (3, 3)


def test_a_later_attempt_is_a_change_though_the_status_is_the_same() -> None:
    s = Scenario()
    s.holds("A", "T")
    middle = s.log[-1].position
    s.given("A", "release", task_id="T", token=s.token("T"))
    s.given(OPS, "assign", task_id="T", agent_id="A")
    (change,) = compared(s, middle).tasks
    assert (change.change, change.differing()) == ("changed", ("attempt",))


def test_every_position_can_be_looked_at_also_within_an_append() -> None:
    """What an append ended and did not say yet what follows is `unheld`, for one event."""
    s = Scenario()
    s.holds("A", "T")
    s.given(OPS, "submit", task_id="other")
    s.given(OPS, "revoke", task_id="T", reason="wrong one")
    revoked = next(each.position for each in s.log if each.name == "revoked")
    state, statistics = PoolState("default", s.rules), Statistics()
    for recorded in s.log:
        state.fold(recorded)
        statistics.observe([recorded])
        tasks = views_at(state, statistics.totals(), state.last_time, 10, lambda _: None)["statistics"]["tasks"]
        assert tasks.get("unheld", 0) == (recorded.position == revoked)
        assert sum(tasks.values()) == len(state.tasks)
    assert compared(s, revoked).counts["tasks.unheld"] == (1, 0)
