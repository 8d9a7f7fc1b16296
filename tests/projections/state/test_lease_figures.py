"""What the metrics show of waits and leases, by the log alone: each case is a short history, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain.lifecycles import LeaseStatus
from domain.rules import Rules
from projections.state import lease_figures
from projections.state.lease_figures import LeaseFigures, is_followed
from projections.state.statistics import Statistics
from tests.support.scenario import OPS, START, Scenario

FIXED = {"mode": "fixed", "lease_s": 100, "grace_s": 20}
"""Expires 120 s after the last beat."""
LIVE = ("_queued_at", "_not_before", "_granted_at", "_beat_at")


UNFOLLOWED = lease_figures.UNFOLLOWED


@pytest.fixture(autouse=True)
def every_lease_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_figures, "UNFOLLOWED", 0)


@pytest.fixture
def s() -> Scenario:
    scenario = Scenario(Rules(stuck_threshold_s=100_000, stall_s=0))
    scenario.given("A", "register", capacity=100)
    scenario.given("B", "register", capacity=10)
    return scenario


def of(s: Scenario) -> LeaseFigures:
    """The figures of the log; those of a snapshot at any position come to the same."""
    statistics = Statistics()
    statistics.observe(s.log)
    figures = statistics.leases
    again = LeaseFigures.loaded(figures.dump(), s.state.tasks.values())
    assert again.dump() == figures.dump()
    for name in LIVE:
        assert getattr(again, name) == getattr(figures, name), name
    return figures


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def claimed(s: Scenario, at_s: float, agent_id: str = "A") -> int:
    (lease,) = s.at(at_s).given(agent_id, "claim").result["leases"]
    token: int = lease["token"]
    return token


@pytest.mark.parametrize(
    ("definition", "then", "waited_s"),
    [
        pytest.param({}, lambda _: None, 50, id="from its submission"),
        pytest.param({"not_before": at(30)}, lambda _: None, 20, id="from when its time has come"),
        pytest.param(
            {"not_before": at(90)},
            lambda s: s.at(40).given(OPS, "update", task_id="T", not_before=at(45)),
            5,
            id="from the time that an operator gave it",
        ),
        pytest.param(
            {},
            lambda s: s.given("A", "release", task_id="T", token=claimed(s, 10)),
            10 + 40,
            id="anew from when it is queued again",
        ),
    ],
)
def test_a_wait_ends_with_the_grant_and_begins(
    s: Scenario, definition: dict[str, object], then: Callable[[Scenario], object], waited_s: float
) -> None:
    s.given(OPS, "submit", task_id="T", **definition)
    then(s)
    claimed(s, 50)
    figures = of(s)
    assert figures.waits_s.total == pytest.approx(waited_s)


ENDINGS: dict[LeaseStatus, Callable[[Scenario, int], object]] = {
    LeaseStatus.COMPLETED: lambda s, token: s.at(50).given("A", "complete", task_id="T", token=token),
    LeaseStatus.RELEASED: lambda s, token: s.at(50).given("A", "release", task_id="T", token=token),
    LeaseStatus.BLOCKED: lambda s, token: s.at(50).given("A", "block", task_id="T", token=token, reason="x"),
    LeaseStatus.REVOKED: lambda s, _: s.at(50).given(OPS, "revoke", task_id="T"),
    LeaseStatus.CANCELLED: lambda s, _: s.at(50).given(OPS, "cancel", task_id="T"),
    LeaseStatus.STOLEN: lambda s, _: s.at(50).given(OPS, "steal", from_="A", to="B", task_ids=["T"]),
    LeaseStatus.FAILED: lambda s, token: s.at(50).given(
        "A", "fail", task_id="T", token=token, error="x", retryable=True
    ),
    LeaseStatus.EXPIRED: lambda s, _: s.sweep(121),
}


@pytest.mark.parametrize("how", sorted(ENDINGS))
def test_a_lease_ends_once_and_is_counted_by_how(s: Scenario, how: LeaseStatus) -> None:
    s.given(OPS, "submit", task_id="T", lease=FIXED)
    ENDINGS[how](s, claimed(s, 0))
    figures = of(s)
    assert figures.ended == {how: 1}
    assert figures.holds_s.total == pytest.approx(121 if how is LeaseStatus.EXPIRED else 50)


@pytest.mark.parametrize("retryable", [True, False])
def test_a_failure_that_ends_the_task_or_puts_it_aside_ends_its_lease_too(s: Scenario, *, retryable: bool) -> None:
    s.given(OPS, "submit", task_id="T", budgets={"failures": 1})
    s.given("A", "fail", task_id="T", token=claimed(s, 0), error="x", retryable=retryable)
    assert of(s).ended == {LeaseStatus.FAILED: 1}


def test_a_task_that_ends_in_the_queue_ends_no_lease_and_no_wait(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T", not_before=at(100))
    s.given(OPS, "cancel", task_id="T")
    figures = of(s)
    assert (figures.ended, figures.waits_s.count) == ({}, 0)
    assert not any(getattr(figures, name) for name in LIVE)


def test_the_silence_before_a_report_is_a_part_of_what_the_lease_allows(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T", lease=FIXED)
    token = claimed(s, 0)
    for at_s in (30, 120):
        s.at(at_s).given("A", "progress", task_id="T", token=token, percent=1)
    figures = of(s)
    assert figures.silence_ratios.count == 2
    assert figures.silence_ratios.total == pytest.approx(30 / 120 + 90 / 120)


def test_an_announced_silence_is_none(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T", lease=FIXED | {"max_lease_s": 10_000})
    token = claimed(s, 0)
    s.given("A", "silence", task_id="T", token=token, for_s=600, reason="compiling")
    s.at(500).given("A", "progress", task_id="T", token=token, percent=1)
    figures = of(s)
    assert (figures.silence_ratios.count, figures.silence_ratios.total) == (1, 0)


def test_an_expiry_is_a_silence_of_more_than_the_lease_allowed_and_says_how_late_it_was_judged(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T", lease=FIXED)
    claimed(s, 0)
    s.sweep(126)
    figures = of(s)
    assert figures.silence_ratios.total == pytest.approx(126 / 120)
    assert figures.late_s.total == pytest.approx(6)


def test_what_the_cadence_excused_is_not_late(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T", lease=FIXED | {"max_lease_s": 10_000})
    token = claimed(s, 0)
    for at_s in (100, 200, 300):
        s.at(at_s).given("A", "progress", task_id="T", token=token, percent=1)
    due = s.state.next_due_at()
    assert due is not None
    excused_s = s.seconds_until(due)
    assert excused_s > 420, "longer than the lease alone"
    s.sweep(excused_s + 2)
    assert of(s).late_s.total == pytest.approx(2, abs=0.001)


def test_a_deadline_is_judged_late_by_so_much(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T", deadline=at(100))
    s.sweep(103)
    assert of(s).late_s.total == pytest.approx(3)


def expired(s: Scenario) -> int:
    s.given(OPS, "submit", task_id="T", lease=FIXED)
    token = claimed(s, 0)
    s.sweep(121)
    return token


def test_an_expiry_was_false_if_its_holder_reports_later_however_often(s: Scenario) -> None:
    token = expired(s)
    assert of(s).false_recoveries == 0
    for percent in (1, 2):
        s.when("A", "progress", task_id="T", token=token, percent=percent)
    assert of(s).false_recoveries == 1


def test_or_if_it_completes_the_task(s: Scenario) -> None:
    token = expired(s)
    s.given("A", "complete", task_id="T", token=token)
    figures = of(s)
    assert figures.false_recoveries == 1
    assert figures.ended == {LeaseStatus.EXPIRED: 1}, "a late completion ends no lease"
    assert not any(getattr(figures, name) for name in LIVE)


def test_what_was_taken_otherwise_was_no_recovery(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T", lease=FIXED)
    token = claimed(s, 0)
    s.given(OPS, "revoke", task_id="T")
    s.when("A", "progress", task_id="T", token=token, percent=1)
    assert of(s).false_recoveries == 0


def test_only_the_latest_expiries_are_remembered(s: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_figures, "EXPIRED_KEPT", 1)
    first = expired(s)
    claimed(s, 130, "B")
    s.sweep(260)
    assert len(of(s).dump()["expired"]) == 1
    s.when("A", "progress", task_id="T", token=first, percent=1)
    assert of(s).false_recoveries == 0


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 8, 16, 100, 1000])
def test_one_lease_in_eight_is_followed_whatever_lies_between_their_grants(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_figures, "UNFOLLOWED", UNFOLLOWED)
    for first in range(5):
        followed = [is_followed(first + step * number) for number in range(1_600)]
        assert 180 <= sum(followed) <= 220


def test_the_silences_of_the_others_are_not_counted(s: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_figures, "UNFOLLOWED", UNFOLLOWED)
    tokens = {f"T{number}": s.holds("A", f"T{number}") for number in range(16)}
    followed = [token for token in tokens.values() if is_followed(token)]
    assert 0 < len(followed) < 16
    for task_id, token in tokens.items():
        s.wait(1).given("A", "progress", task_id=task_id, token=token, percent=1)
    assert of(s).silence_ratios.count == len(followed)
