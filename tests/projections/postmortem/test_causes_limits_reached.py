"""Limits and decisions that end or hold up a task are named, and not where they were kept."""

from __future__ import annotations

import pytest

from domain.commands.service_commands import EndDrain
from projections.postmortem.causes import Cause
from tests.support.postmortem import causes, done, named, working
from tests.support.scenario import OPS, Scenario


def test_a_deadline_is_named_with_who_held_the_task() -> None:
    s = Scenario()
    working(s, deadline_s=60)
    s.sweep(at=90).then("failed")
    (found,) = named(s, Cause.DEADLINE)
    assert found.evidence[0].text == (
        "deadline 08:01:00.0, failed 30s later; A held it, at 5 %, last heard 1m before, attempt 1"
    )


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        (["git"], "it had no holder: queued for 1m 1s, attempt 1; A could have taken it"),
        ([], "it had no holder: queued for 1m 1s, attempt 1; no agent could take it: A lacks git"),
    ],
)
def test_a_deadline_in_the_queue_says_who_could_have_taken_the_task(capabilities: list[str], said: str) -> None:
    s = Scenario()
    s.given("A", "register", capabilities=capabilities)
    s.given(OPS, "submit", task_id="T", deadline_s=60, required_capabilities=["git"])
    s.sweep(at=61).then("failed")
    assert named(s, Cause.DEADLINE)[0].evidence[0].text.endswith(said)
    assert (Cause.CAPACITY in causes(s)) == (not capabilities)


def test_a_task_that_met_its_deadline_is_not_named() -> None:
    s = Scenario()
    working(s, deadline_s=60)
    done(s)
    assert Cause.DEADLINE not in causes(s)


def fails(s: Scenario, times: int, *, retryable: bool = True) -> None:
    for _ in range(times):
        (lease,) = s.given("A", "claim").result["leases"]
        s.given("A", "fail", task_id="T", token=lease["token"], error="no disk", retryable=retryable)
        s.wait(5)


def test_failures_within_the_budget_are_told_from_a_spent_budget() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    fails(s, 2)
    assert causes(s) == {Cause.FAILURES}
    fails(s, 1)
    assert causes(s) == {Cause.FAILURES, Cause.BUDGET}
    (spent,) = named(s, Cause.BUDGET)
    assert (spent.title, spent.evidence[0].text) == (
        "T used up its budget of 3 failures",
        "the last error: no disk",
    )
    assert named(s, Cause.FAILURES)[0].title == "T failed 3 times, retryably"


def test_a_failure_that_is_not_retryable_is_the_holders_decision() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    fails(s, 1, retryable=False)
    assert causes(s) == {Cause.GAVE_UP}


def test_a_quarantine_is_a_spent_budget() -> None:
    s = Scenario()
    s.holds("A", "T", budgets={"expiries": 1})
    s.sweep(at=5000).then("expired", "quarantined")
    assert "the budget is 1" in named(s, Cause.BUDGET)[0].evidence[0].text


def test_many_reports_are_no_cause_of_anything() -> None:
    s = Scenario()
    working(s, lease={"max_renewals": 3}, reports=(10, 20, 30))
    assert s.lease("T").escalated
    assert not causes(s)


def test_a_stalled_task_is_a_cause_and_its_recovery_no_persons_decision() -> None:
    s = Scenario()
    working(s, stall_s=60.0, on_stall="requeue", reports=(10, 50, 90))
    s.sweep(at=100).then("stalled", "revoked", "requeued")
    (stalled,) = named(s, Cause.STALLED)
    assert stalled.title == "A was heard and did not advance T"
    assert Cause.OPERATOR not in causes(s)


def test_a_block_names_who_and_why() -> None:
    s = Scenario()
    token = working(s)
    s.given("A", "block", task_id="T", token=token, reason="no key")
    assert named(s, Cause.BLOCKED)[0].evidence[0].text == "A: no key"


def test_what_people_did_is_one_finding_for_each() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    s.given("ops/alice", "revoke", task_id="T", reason="wrong agent")
    s.given("ops/alice", "cancel", task_id="U")
    (found,) = named(s, Cause.OPERATOR)
    assert found.title == "ops/alice intervened on T, U"
    assert [each.text for each in found.evidence] == ["revoked T: wrong agent", "cancelled U"]


def test_the_end_of_a_drain_is_no_decision_of_a_person() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.given("ops/alice", "drain", agent_id="A", deadline_s=60)
    s.wait(60).asks(EndDrain("A")).then("revoked", "requeued")
    assert Cause.OPERATOR not in causes(s)


def test_a_lease_that_had_run_out_at_the_end_is_named() -> None:
    s = Scenario()
    working(s)
    s.at(290).given("B", "register")
    assert named(s, Cause.OVERDUE)[0].evidence[0].text == (
        "held by A until 08:04:30.0, 20s before the end shown; to be judged at 08:05:30.0"
    )


def test_a_lease_that_still_ran_at_the_end_is_not() -> None:
    s = Scenario()
    working(s)
    s.at(260).given("B", "register")
    assert Cause.OVERDUE not in causes(s)
