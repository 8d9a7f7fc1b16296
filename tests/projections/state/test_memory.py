"""What has ended leaves memory, and later events that name it are folded all the same."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from domain.errors import FoldError
from domain.events import Entity
from domain.lifecycles import AgentStatus, TaskStatus
from domain.recorded import Recorded
from projections.state import ended_entities
from projections.state.pool_state import PoolState
from tests.support.scenario import OPS, Scenario

KEPT = 3


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_entities, "RECENT_ENTITIES", KEPT)


def finish(s: Scenario, *task_ids: str) -> None:
    for task_id in task_ids:
        s.given(OPS, "submit", task_id=task_id)
        s.given(OPS, "cancel", task_id=task_id)


def test_only_the_latest_ended_entities_stay_and_the_rest_is_known_by_its_position() -> None:
    s = Scenario()
    finish(s, "T1", "T2", "T3")
    assert s.state.ended.evicted_through == 0

    finish(s, "T4")

    assert s.state.task("T1") is None
    assert [entity_id for _, entity_id in s.state.ended.recent] == ["T2", "T3", "T4"]
    assert s.state.ended.evicted_through == 2


def test_ended_steals_of_a_day_stay_however_many_tasks_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_entities, "RECENT_STEALS", 2)
    s = Scenario()
    moves(s, 0, 1, 2)
    finish(s, *(f"E{number}" for number in range(9)))
    assert stolen(s) == [0, 1, 2]


def test_of_steals_from_more_than_a_day_ago_the_last_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_entities, "RECENT_STEALS", 2)
    day = ended_entities.STEALS_KEPT_S
    s = Scenario()
    moves(s, 0, 1, 2, day + 1, day + 2)
    assert stolen(s) == [2, day + 1, day + 2], "what ended a day ago to the second is of the last day"
    moves(s, 3 * day)
    assert stolen(s) == [day + 2, 3 * day]


def test_of_the_steals_of_a_busy_day_the_first_ones_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_entities, "RECENT_STEALS", 2)
    monkeypatch.setattr(ended_entities, "MOST_STEALS", 4)
    s = Scenario()
    moves(s, *range(6))
    assert stolen(s) == [2, 3, 4, 5]


def moves(s: Scenario, *moments: float) -> None:
    """Have a task stolen at each of these moments."""
    s.given("B", "register", capacity=100)
    for at in moments:
        s.at(at)
        s.holds("A", f"T{at:.0f}", capacity=100)
        s.given(OPS, "steal", from_="A", to="B", task_ids=[f"T{at:.0f}"])


def stolen(s: Scenario) -> list[float]:
    """Return when the steals in memory ended, in their order."""
    return [s.seconds_until(steal.ended_at) for steal in s.state.ended.steals.values() if steal.ended_at]


def test_live_entities_never_leave() -> None:
    s = Scenario()
    s.holds("A", "held")
    s.given(OPS, "submit", task_id="queued")
    finish(s, *(f"T{number}" for number in range(9)))

    assert s.task("held").status is TaskStatus.ASSIGNED
    assert s.task("queued").status is TaskStatus.QUEUED
    assert s.agent("A").status is AgentStatus.LIVE


def test_an_agent_that_left_and_was_forgotten_comes_back_in_every_fold() -> None:
    s = Scenario()
    s.given("A", "register", capabilities=["gpu"], capacity=2)
    s.given("A", "deregister")
    finish(s, "T1", "T2", "T3")
    assert s.state.agent("A") is None

    s.when("A", "register", capabilities=["web"]).then("registered")
    s.given(OPS, "submit", task_id="T", required_capabilities=["web"])
    s.when("A", "claim").then("leased")

    assert s.agent("A").version == 3
    assert s.shadow.agent("A") == s.agent("A")


def test_a_late_report_on_a_forgotten_task_is_no_unreadable_event() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given(OPS, "cancel", task_id="T")
    finish(s, "T1", "T2", "T3")
    assert s.state.task("T") is None

    s.when("A", "progress", task_id="T", token=token, percent=5).refused("task_finished", "late_progress")

    assert s.task("T").former[-1].late_reports == 1


def test_an_event_on_a_task_that_never_was_is_refused_while_nothing_was_forgotten() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given(OPS, "cancel", task_id="T")
    s.when("A", "progress", task_id="T", token=token, percent=5).refused("task_finished", "late_progress")

    empty = PoolState("default", s.rules)
    with pytest.raises(FoldError):
        empty.fold(s.log[-1])
    assert (empty.position, empty.task("T")) == (0, None)


def test_what_was_loaded_is_not_loaded_over() -> None:
    s = Scenario()
    finish(s, "T1")
    task = s.task("T1")

    s.state.load((Entity.TASK, "T1"), replace(task, attempt=99))

    assert s.task("T1") is task


def test_a_message_that_does_not_apply_leaves_no_trace_but_its_position() -> None:
    s = Scenario()
    s.holds("A", "T")
    last = s.log[-1]
    bad = Recorded(last.position + 1, Entity.TASK, "T", 99, last.time, "ops", "c", last.event)
    before = dict(s.state.entities())

    with pytest.raises(FoldError):
        s.state.fold(bad)
    assert s.state.position == last.position
    s.state.skip(bad.position)

    assert s.state.position == bad.position
    assert dict(s.state.entities()) == before
