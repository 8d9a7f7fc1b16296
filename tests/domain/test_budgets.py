"""How often a task may go wrong, by cause, and what happens then."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import task as ev
from domain.lifecycles import TaskStatus
from tests.support.scenario import OPS, Scenario


def task(s: Scenario, **budgets: int) -> None:
    s.given(OPS, "submit", task_id="T", budgets=budgets)
    s.given("A", "register", capacity=5)


def attempt(s: Scenario) -> int:
    s.wait(5)
    s.given(OPS, "assign", task_id="T", agent_id="A")
    return s.token("T")


def fail(s: Scenario, **body: Any) -> list[str]:
    return s.given("A", "fail", task_id="T", token=attempt(s), error="no", **body).names


def expire(s: Scenario, *, reports: bool = False) -> list[str]:
    token = attempt(s)
    if reports:
        s.given("A", "progress", task_id="T", token=token, percent=1)
    return s.wait(1000).sweep().names


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_the_nth_retryable_failure_fails_the_task(budget: int) -> None:
    s = Scenario()
    task(s, failures=budget)
    assert [fail(s) for _ in range(budget)] == [["requeued"]] * (budget - 1) + [["failed"]]
    assert s.task("T").failures == budget


def test_a_failure_that_is_not_retryable_fails_the_task_at_once() -> None:
    s = Scenario()
    task(s)
    assert fail(s, retryable=False) == ["failed"]
    assert (s.task("T").status, s.task("T").failures) == (TaskStatus.FAILED, 1)


def test_a_requeued_failure_carries_its_error_its_token_and_the_hand_off() -> None:
    s = Scenario()
    task(s)
    token = attempt(s)
    event = s.when("A", "fail", task_id="T", token=token, error="disk full").then("requeued").event(ev.Requeued)

    assert (event.cause, event.error, event.token, event.attempt) == (ev.Cause.FAILURE, "disk full", token, 2)
    assert event.handoff is not None
    assert "disk full" in event.handoff.reason


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_the_nth_expiry_in_a_row_quarantines(budget: int) -> None:
    s = Scenario()
    task(s, expiries=budget)
    outcomes = [expire(s) for _ in range(budget)]
    assert outcomes == [["expired", "requeued"]] * (budget - 1) + [["expired", "quarantined"]]


def test_a_report_between_starts_the_count_of_expiries_again() -> None:
    s = Scenario()
    task(s, expiries=2)
    outcomes = [expire(s)[-1], expire(s, reports=True)[-1], expire(s)[-1]]
    # The second attempt reported and then expired: that is one in a row; the third is the second.
    assert outcomes == ["requeued", "requeued", "quarantined"]


def test_the_nth_attempt_in_all_is_the_last() -> None:
    s = Scenario()
    task(s, attempts=3)
    for _ in range(2):
        attempt(s)
        s.given(OPS, "revoke", task_id="T").then("revoked", "requeued")
    attempt(s)
    event = s.given(OPS, "revoke", task_id="T").then("revoked", "quarantined").event(ev.Quarantined)
    assert event.reason == "attempt 3 was the last; the budget is 3"


def test_a_release_counts_against_its_own_budget_alone() -> None:
    s = Scenario()
    task(s, attempts=1, releases=3)
    for _ in range(2):
        s.given("A", "release", task_id="T", token=attempt(s)).then("released", "requeued")
    assert (s.task("T").attempt, s.task("T").attempts_used, s.task("T").releases) == (3, 1, 2)

    event = s.given("A", "release", task_id="T", token=attempt(s)).then("released", "quarantined").event(ev.Quarantined)

    assert event.reason == "3 releases; the budget is 3"


def test_ten_releases_by_default() -> None:
    s = Scenario()
    task(s)
    for _ in range(9):
        s.given("A", "release", task_id="T", token=attempt(s)).then("released", "requeued")
    s.given("A", "release", task_id="T", token=attempt(s)).then("released", "quarantined")


def test_releases_leave_every_attempt_to_those_that_fail() -> None:
    s = Scenario()
    task(s, attempts=2, failures=9)
    for _ in range(5):
        s.given("A", "release", task_id="T", token=attempt(s)).then("released", "requeued")
    s.given("A", "fail", task_id="T", token=attempt(s), error="x").then("requeued")
    s.given("A", "release", task_id="T", token=attempt(s)).then("released", "requeued")
    s.given("A", "fail", task_id="T", token=attempt(s), error="x").then("quarantined")


@pytest.mark.parametrize(
    ("end", "events"),
    [
        ("revoke", ["revoked", "quarantined"]),
        ("expire", ["expired", "quarantined"]),
        ("fail", ["quarantined"]),
    ],
)
def test_however_the_last_attempt_ends_unfinished_the_task_is_quarantined(end: str, events: list[str]) -> None:
    s = Scenario()
    task(s, attempts=1)
    token = attempt(s)
    if end == "revoke":
        step = s.given(OPS, "revoke", task_id="T")
    elif end == "expire":
        step = s.sweep(at=1000)
    else:
        step = s.given("A", end, task_id="T", token=token, **({"error": "x"} if end == "fail" else {}))
    step.then(*events)
    assert (s.task("T").status, s.task("T").lease) == (TaskStatus.QUARANTINED, None)


@pytest.mark.parametrize(("end", "last"), [("release", []), ("deregister", ["deregistered"])])
def test_however_the_last_release_comes_about_the_task_is_quarantined(end: str, last: list[str]) -> None:
    s = Scenario()
    task(s, releases=1)
    token = attempt(s)
    s.given("A", end, **({"task_id": "T", "token": token} if end == "release" else {})).then(
        "released", "quarantined", *last
    )


def test_the_last_attempt_may_be_blocked_and_unblocked_by_a_person() -> None:
    s = Scenario()
    task(s, attempts=1)
    s.given("A", "block", task_id="T", token=attempt(s), reason="no key")
    s.when(OPS, "unblock", task_id="T").then("unblocked", "requeued")
    assert s.task("T").attempt == 2


def test_a_person_brings_a_quarantined_task_back_for_one_more_attempt() -> None:
    s = Scenario()
    task(s, releases=1)
    s.given("A", "release", task_id="T", token=attempt(s))

    event = s.when(OPS, "requeue", task_id="T", reason="looked at it").then("requeued").event(ev.Requeued)
    assert (event.cause, event.attempt, event.reason) == (ev.Cause.OPERATOR, 2, "looked at it")
    s.given("A", "release", task_id="T", token=attempt(s)).then("released", "quarantined")


def test_a_person_who_brings_it_back_starts_the_count_of_expiries_again() -> None:
    s = Scenario()
    task(s, expiries=2)
    expire(s)
    assert expire(s)[-1] == "quarantined"
    s.given(OPS, "requeue", task_id="T")
    assert [expire(s)[-1], expire(s)[-1]] == ["requeued", "quarantined"]


def test_after_quarantine_every_budget_begins_anew() -> None:
    s = Scenario()
    task(s, attempts=3, failures=9, steals=2, releases=2)
    s.given("B", "register")
    attempt(s)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T"])
    s.given("B", "release", task_id="T", token=s.token("T"))
    for _ in range(3):
        s.given("A", "fail", task_id="T", token=attempt(s), error="x")
    found = s.task("T")
    assert (found.status, found.failures, found.steals, found.releases, found.attempts_used) == (
        *("quarantined", 3, 1, 1, 3),
    )

    assert s.given(OPS, "requeue", task_id="T").event(ev.Requeued).budgets_anew

    found = s.task("T")
    assert (found.failures, found.expiries, found.steals, found.releases, found.attempts_used) == (0, 0, 0, 0, 1)
    outcomes = [s.given("A", "fail", task_id="T", token=attempt(s), error="x").names[-1] for _ in range(3)]
    assert outcomes == ["requeued", "requeued", "quarantined"]


def test_an_unblocked_task_keeps_its_budgets() -> None:
    s = Scenario()
    task(s, failures=9)
    s.given("A", "fail", task_id="T", token=attempt(s), error="x")
    token = attempt(s)
    s.given("A", "progress", task_id="T", token=token, percent=1)
    assert s.task("T").failures == 1
    s.given("A", "block", task_id="T", token=token, reason="no key")
    assert not s.given(OPS, "unblock", task_id="T").event(ev.Requeued).budgets_anew
    assert (s.task("T").failures, s.task("T").attempts_used) == (1, 3)


def test_after_n_steals_it_is_not_stolen_again() -> None:
    s = Scenario()
    task(s, steals=1)
    attempt(s)
    s.given("B", "register")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T"])
    s.wait(1000)

    refusal = s.when(OPS, "steal", from_="B", to="A", task_ids=["T"]).refused("illegal_transition")
    assert "it was stolen 1 times; the budget is 1" in refusal.message


def test_a_steal_uses_up_neither_attempts_nor_releases() -> None:
    s = Scenario()
    task(s, attempts=1)
    attempt(s)
    s.given("B", "register")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T"])
    assert (s.task("T").attempt, s.task("T").attempts_used, s.task("T").releases) == (2, 1, 0)
    s.given(OPS, "revoke", task_id="T").then("revoked", "quarantined")
