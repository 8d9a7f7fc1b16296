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
        s.given("A", "release", task_id="T", token=attempt(s)).then("released", "requeued")
    event = s.given("A", "release", task_id="T", token=attempt(s)).then("released", "quarantined").event(ev.Quarantined)
    assert event.reason == "attempt 3 was the last; the budget is 3"


@pytest.mark.parametrize(
    ("end", "events"),
    [
        ("release", ["released", "quarantined"]),
        ("revoke", ["revoked", "quarantined"]),
        ("expire", ["expired", "quarantined"]),
        ("fail", ["quarantined"]),
        ("deregister", ["released", "quarantined", "deregistered"]),
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
    elif end == "deregister":
        step = s.given("A", "deregister")
    else:
        step = s.given("A", end, task_id="T", token=token, **({"error": "x"} if end == "fail" else {}))
    step.then(*events)
    assert (s.task("T").status, s.task("T").lease) == (TaskStatus.QUARANTINED, None)


def test_the_last_attempt_may_be_blocked_and_unblocked_by_a_person() -> None:
    s = Scenario()
    task(s, attempts=1)
    s.given("A", "block", task_id="T", token=attempt(s), reason="no key")
    s.when(OPS, "unblock", task_id="T").then("unblocked", "requeued")
    assert s.task("T").attempt == 2


def test_a_person_brings_a_quarantined_task_back_for_one_more_attempt() -> None:
    s = Scenario()
    task(s, attempts=1)
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


def test_after_n_steals_it_is_not_stolen_again() -> None:
    s = Scenario()
    task(s, steals=1)
    attempt(s)
    s.given("B", "register")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T"])
    s.wait(1000)

    refusal = s.when(OPS, "steal", from_="B", to="A", task_ids=["T"]).refused("illegal_transition")
    assert "it was stolen 1 times; the budget is 1" in refusal.message


def test_a_task_on_its_last_attempt_is_not_stolen() -> None:
    s = Scenario()
    task(s, attempts=1)
    attempt(s)
    s.given("B", "register")
    s.when(OPS, "steal", from_="A", to="B", task_ids=["T"]).refused("illegal_transition")
