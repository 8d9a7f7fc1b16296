"""What is expected of a task: by those like it, by its estimate, by its holder's pace, by how long it takes already."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from projections.state import work_times
from projections.state.statistics import Statistics
from projections.state.work_times import UNKNOWN_S, WorkTimes
from tests.support.scenario import OPS, Scenario


class Times:
    """Tasks that were done one after the other, and what is expected of others."""

    def __init__(self) -> None:
        self.s = Scenario()
        self.number = 0

    def done(self, took_s: Iterable[float], agent_id: str = "A", *, wait_s: float = 0.0, **definition: object) -> None:
        for each in took_s:
            self.number += 1
            task_id = f"done-{self.number}"
            token = self.s.holds(agent_id, task_id, capacity=100, **definition)
            begun_s = self.s.seconds_until(self.s.now) + wait_s
            self.s.at(begun_s).given(agent_id, "start", task_id=task_id, token=token)
            self.s.at(begun_s + each).given(agent_id, "complete", task_id=task_id, token=token)

    @property
    def times(self) -> WorkTimes:
        times = WorkTimes()
        times.observe(self.s.log, self.s.state.task)
        assert WorkTimes.loaded(times.dump()).dump() == times.dump()
        return times

    def expected_s(self, **definition: object) -> float:
        self.number += 1
        self.s.given(OPS, "submit", task_id=f"new-{self.number}", **definition)
        task = self.s.state.task(f"new-{self.number}")
        assert task is not None
        return self.times.expected_s(task)


@pytest.fixture
def t() -> Times:
    return Times()


def test_without_anything_to_go_by_there_is_a_default(t: Times) -> None:
    assert t.expected_s() == UNKNOWN_S
    assert t.expected_s(estimated_hours=0.5) == 1800


def test_it_is_the_median_of_the_tasks_with_the_same_labels_and_requirements(t: Times) -> None:
    t.done([10, 1000, 20], labels=["small"])
    t.done([300, 310, 320], labels=["large"])
    assert t.expected_s(labels=["small"]) == 20
    assert t.expected_s(labels=["large"]) == 310


def test_else_of_those_with_a_label_of_its_and_else_of_all(t: Times) -> None:
    t.done([10, 20, 30], labels=["small", "web"])
    t.done([500])
    assert t.expected_s(labels=["odd", "web"]) == 20
    assert t.expected_s(labels=["odd"]) == 25
    assert t.expected_s() == 500, "one of its own kind says more than all others"


def test_an_estimate_is_worth_what_estimates_were_worth(t: Times) -> None:
    t.done([360, 720, 1080], estimated_hours=1.0)
    assert t.expected_s(estimated_hours=2.0) == 1440


def test_waiting_is_no_work(t: Times) -> None:
    t.done([10, 20, 30], wait_s=100.0)
    assert t.expected_s() == 20


def test_without_a_start_on_record_work_began_when_the_holder_had_finished_the_last_task(t: Times) -> None:
    s = t.s
    for number in range(3):
        s.holds("A", f"T{number}", capacity=10)
    for number in range(3):
        s.at(50 * (number + 1)).given("A", "complete", task_id=f"T{number}", token=s.token(f"T{number}"))
    assert t.expected_s() == pytest.approx(50)


def test_a_first_report_is_a_start(t: Times) -> None:
    s = t.s
    for number in range(3):
        token = s.holds("A", f"T{number}", capacity=10)
        s.at(100 * number + 10).given("A", "progress", task_id=f"T{number}", token=token, percent=1)
        s.at(100 * number + 20).given("A", "progress", task_id=f"T{number}", token=token, percent=50)
        s.at(100 * number + 40).given("A", "complete", task_id=f"T{number}", token=token)
    assert t.expected_s() == pytest.approx(30)


def test_a_new_attempt_begins_anew(t: Times) -> None:
    s = t.s
    s.given("B", "register")
    for number in range(3):
        token = s.at(100 * number).holds("A", f"T{number}", capacity=10)
        s.given("A", "start", task_id=f"T{number}", token=token)
        s.at(100 * number + 50).given("A", "release", task_id=f"T{number}", token=token)
        result = s.given("B", "claim").result
        assert result is not None
        s.at(100 * number + 57).given("B", "complete", task_id=f"T{number}", token=result["leases"][0]["token"])
    assert t.expected_s() == pytest.approx(7)


def test_an_agents_pace_is_known_after_a_few_tasks(t: Times) -> None:
    t.done([10, 10, 10], "A", labels=["small"])
    assert (t.times.pace("A"), t.times.pace("B")) == (1, 1)
    t.done([30, 31, 29], "B", labels=["small"])
    assert t.times.pace("B") == pytest.approx(3, rel=0.2)


@pytest.mark.parametrize(
    ("elapsed_s", "percent", "pace", "left_s"),
    [
        pytest.param(0, 0, 1, 60, id="the median at first"),
        pytest.param(0, 0, 2, 120, id="at its holder's pace"),
        pytest.param(50, 0, 1, 25, id="then of those that took longer"),
        pytest.param(200, 0, 1, 200, id="as long again beyond all"),
        pytest.param(30, 75, 1, 10, id="as reported"),
        pytest.param(-5, 0, 1, 60, id="a clock that was set back"),
    ],
)
def test_what_is_left_of_a_begun_task(t: Times, elapsed_s: float, percent: int, pace: float, left_s: float) -> None:
    t.done([20, 60, 90])
    task = t.s.state.task("done-1")
    assert task is not None
    assert t.times.remaining_s(task, elapsed_s, percent, pace) == pytest.approx(left_s)


def test_it_forgets_what_was_finished_longest_ago(t: Times, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_times, "MAX_KEPT", 2)
    for label in ("first", "second", "third"):
        t.done([10, 10, 10], labels=[label])
    assert [kind for kind, _ in t.times.dump()["by_kind"]] == [(("second",), ()), (("third",), ())]
    assert len(t.times.dump()["by_label"]) == 2


def test_statistics_keep_it_in_a_snapshot(t: Times) -> None:
    t.done([10, 20, 30], labels=["small"])
    statistics = Statistics()
    statistics.work_times = t.times
    assert Statistics.loaded(statistics.dump(), {}).work_times.dump() == t.times.dump()
