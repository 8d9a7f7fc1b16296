"""Leases as bars: how each ends, what is a tick, what is an arrow, and how much is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.timestamps import format_timestamp
from projections.live import lanes
from projections.live.lanes import WINDOW_S, Lanes
from projections.live.segment import MAX_TICKS
from tests.support.scenario import OPS, Scenario
from tests.support.watched import Watched

ENDS: dict[str, Callable[[Scenario, int], object]] = {
    "completed": lambda s, token: s.given("A", "complete", task_id="T", token=token),
    "failed": lambda s, token: s.given("A", "fail", task_id="T", token=token, error="no", retryable=False),
    "released": lambda s, token: s.given("A", "release", task_id="T", token=token),
    "blocked": lambda s, token: s.given("A", "block", task_id="T", token=token, reason="no key"),
    "cancelled": lambda s, _: s.given(OPS, "cancel", task_id="T"),
    "revoked": lambda s, _: s.given(OPS, "revoke", task_id="T"),
    "expired": lambda s, _: s.sweep(600),
    "stolen": lambda s, _: s.given(OPS, "steal", from_="A", to="B", task_ids=["T"]),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_bar_ends_as_its_lease_does(end: str) -> None:
    s = Watched()
    s.given("B", "register", capacity=5)
    token = s.holds("A", "T")
    s.look()
    ENDS[end](s, token)
    changed = s.look()["lanes"]["agents"]["A"]
    assert [(bar["token"], bar["end"], bar["until"]) for bar in changed] == [(token, end, format_timestamp(s.now))]
    assert s.bars("A") == changed


def test_a_failure_that_is_tried_again_ends_the_bar() -> None:
    s = Watched()
    token = s.holds("A", "T")
    s.given("A", "fail", task_id="T", token=token, error="no", retryable=True)
    assert [bar["end"] for bar in s.bars("A")] == ["failed"]


def test_reports_are_ticks_and_renew_the_bar() -> None:
    s = Watched()
    token = s.holds("A", "T")
    for at, percent in ((10, 5), (10.2, 6), (31, 7)):
        s.when("A", "progress", at=at, task_id="T", token=token, percent=percent)
    (bar,) = s.bars("A")
    assert bar["ticks"] == [10.0, 31.0]
    assert bar["expires_at"] == format_timestamp(s.lease("T").expires_at)
    assert (bar["until"], bar["end"]) == (None, None)


def test_the_latest_ticks_are_kept() -> None:
    s = Watched()
    token = s.holds("A", "T")
    for number in range(1, MAX_TICKS + 11):
        s.when("A", "progress", at=10 * number, task_id="T", token=token, percent=5)
    (bar,) = s.bars("A")
    assert len(bar["ticks"]) == MAX_TICKS
    assert bar["ticks"][-1] == 10 * (MAX_TICKS + 10)


def test_a_stopped_clock_is_shown_until_the_holder_is_heard() -> None:
    s = Watched()
    token = s.holds("A", "T", on_silence="stuck")
    s.sweep(1000)
    assert [bar["stuck"] for bar in s.bars("A")] == [True]
    s.when("A", "progress", at=1010, task_id="T", token=token, percent=5)
    assert [bar["stuck"] for bar in s.bars("A")] == [False]


def test_a_steal_is_one_arrow_however_many_tasks_move() -> None:
    s = Watched()
    s.holds("A", "T1", "T2", "T3")
    s.given("B", "register", capacity=5)
    s.look()
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T2", "T3"])
    (arrow,) = s.look()["lanes"]["arrows"]
    assert (arrow["from_agent"], arrow["to_agent"], sorted(arrow["task_ids"])) == ("A", "B", ["T2", "T3"])
    assert [bar["task_id"] for bar in s.bars("B")] == arrow["task_ids"]


def test_what_ended_before_the_window_is_dropped_and_what_is_held_is_not() -> None:
    s = Watched()
    token = s.holds("A", "T1", lease={"mode": "fixed", "lease_s": 10_000.0, "max_lease_s": 20_000.0})
    s.holds("A", "T2")
    s.given(OPS, "steal", from_="A", to=s.given("B", "register", capacity=5).records[0].entity_id, task_ids=["T2"])
    s.given("B", "complete", task_id="T2", token=s.token("T2"))
    s.wait(WINDOW_S + 10)
    shown = s.shown()["lanes"]
    assert shown["arrows"] == []
    assert {agent_id: [bar["token"] for bar in lane] for agent_id, lane in shown["agents"].items()} == {"A": [token]}


def test_nothing_changed_is_no_change() -> None:
    s = Watched()
    s.holds("A", "T")
    s.look()
    assert "lanes" not in s.look()


def test_a_lane_keeps_the_bars_that_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MAX_SEGMENTS", 3)
    s = Watched()
    held = s.holds("A", "T")
    for number in range(5):
        token = s.holds("A", f"short-{number}")
        s.given("A", "complete", task_id=f"short-{number}", token=token)
    assert [bar["token"] for bar in s.bars("A")] == [held, *(bar["token"] for bar in s.bars("A")[-2:])]
    assert len(s.bars("A")) == 3


def test_what_was_held_before_the_first_event_is_adopted() -> None:
    s = Watched()
    token = s.holds("A", "T")
    s.when("A", "progress", at=20, task_id="T", token=token, percent=5)
    late = Lanes()
    late.adopt(s.state)
    assert late.document(s.now)["agents"] == s.shown()["lanes"]["agents"]
