"""What a former holder says after it lost the lease is evidence; a late completion counts until the next grant."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import task as ev
from domain.lifecycles import TaskStatus
from domain.limits import MAX_FORMER_LEASES
from tests.support.scenario import OPS, Scenario


def expired(s: Scenario, **definition: Any) -> int:
    """Given a task that A held, reported 60 % on, and lost to its lease's end; return A's token."""
    token = s.holds("A", "T", **definition)
    s.given("A", "progress", task_id="T", token=token, percent=60, message="half way", checkpoint={"line": 1})
    assert "expired" in s.sweep(at=300).names
    return token


def test_at_most_ten_late_reports_a_token_are_kept() -> None:
    s = Scenario()
    token = expired(s)
    for _ in range(10):
        s.when("A", "progress", task_id="T", token=token, percent=1).refused("stale_token", "late_progress")
    s.when("A", "progress", task_id="T", token=token, percent=1).refused("stale_token")
    assert s.task("T").former[-1].late_reports == 10


def test_the_latest_sixteen_former_leases_are_remembered() -> None:
    s = Scenario()
    tokens = [s.holds("A", "T", budgets={"attempts": 100})]
    for _ in range(MAX_FORMER_LEASES):
        s.given(OPS, "revoke", task_id="T")
        s.given(OPS, "assign", task_id="T", agent_id="A")
        tokens.append(s.token("T"))
    assert [each.token for each in s.task("T").former] == tokens[:-1]
    s.given(OPS, "revoke", task_id="T")
    assert [each.token for each in s.task("T").former] == tokens[1:]

    s.when("A", "progress", task_id="T", token=tokens[0], percent=1).refused("stale_token")
    s.when("A", "progress", task_id="T", token=tokens[1], percent=1).refused("stale_token", "late_progress")


def test_each_token_has_its_own_ten() -> None:
    s = Scenario()
    first = expired(s)
    for _ in range(10):
        s.when("A", "progress", task_id="T", token=first, percent=1).refused("stale_token", "late_progress")
    s.given(OPS, "assign", task_id="T", agent_id="A")
    second = s.token("T")
    s.given(OPS, "revoke", task_id="T")

    s.when("A", "progress", task_id="T", token=first, percent=1).refused("stale_token")
    s.when("A", "progress", task_id="T", token=second, percent=1).refused("stale_token", "late_progress")


@pytest.mark.parametrize(
    ("percent", "message", "progress", "note"),
    [(80, "nearly", 80, "nearly"), (10, "hm", 60, "half way"), (70, None, 70, "half way")],
    ids=["higher progress and a newer note", "never a lower one, nor its note", "no note keeps the old one"],
)
def test_the_hand_off_takes_the_higher_progress_and_the_newer_note(
    percent: int, message: str | None, progress: int, note: str
) -> None:
    s = Scenario()
    token = expired(s)
    s.when("A", "progress", task_id="T", token=token, percent=percent, message=message).refused(
        "stale_token", "late_progress"
    )
    s.given("B", "register")

    (lease,) = s.given("B", "claim").result["leases"]

    assert (lease["handoff"]["progress"], lease["handoff"]["last_note"]) == (progress, note)


def test_a_late_checkpoint_replaces_the_one_in_the_hand_off() -> None:
    s = Scenario()
    token = expired(s)
    s.when("A", "progress", task_id="T", token=token, percent=59, message="late", checkpoint={"line": 0})
    assert work(s) == (60, "half way", {"line": 1}, "A")
    s.when("A", "progress", task_id="T", token=token, percent=60, checkpoint={"line": 2})
    assert work(s) == (60, "half way", {"line": 2}, "A")


def work(s: Scenario) -> tuple[Any, ...]:
    handoff = s.task("T").handoff
    assert handoff is not None
    return handoff.progress, handoff.last_note, handoff.last_checkpoint, handoff.reported_by


def test_a_late_report_of_an_earlier_holder_leaves_that_of_a_later_one() -> None:
    s = Scenario()
    first = expired(s)
    s.given("B", "register")
    s.given("B", "claim")
    second = s.token("T")
    s.given("B", "progress", task_id="T", token=second, percent=30, message="begun anew", checkpoint={"line": 7})
    s.given(OPS, "revoke", task_id="T")
    s.when("A", "progress", task_id="T", token=first, percent=95, message="mine", checkpoint={"line": 9})
    assert work(s) == (30, "begun anew", {"line": 7}, "B")

    s.when("B", "progress", task_id="T", token=second, percent=40, message="more")
    assert work(s) == (40, "more", {"line": 7}, "B")


def test_a_late_report_of_a_holder_that_had_reported_nothing_counts_as_a_whole_if_it_is_no_lower() -> None:
    s = Scenario()
    expired(s)
    s.given("B", "register")
    s.given("B", "claim")
    second = s.token("T")
    s.given(OPS, "revoke", task_id="T")
    s.when("B", "progress", task_id="T", token=second, percent=20, message="less")
    assert work(s) == (60, "half way", {"line": 1}, "A")

    s.when("B", "progress", task_id="T", token=second, percent=70)

    assert work(s) == (70, None, None, "B")
    handoff = s.task("T").handoff
    assert handoff is not None
    assert handoff.earlier is not None
    assert (handoff.earlier.agent_id, handoff.earlier.progress) == ("A", 60)
    assert handoff.earlier.checkpoint == {"line": 1}


def test_what_a_late_report_added_outlives_a_quarantine() -> None:
    s = Scenario()
    token = expired(s, budgets={"attempts": 1})
    s.at(360).when("A", "progress", task_id="T", token=token, percent=80, message="later", checkpoint=[8])
    before = s.task("T").handoff
    s.at(4000).given(OPS, "requeue", task_id="T")
    assert work(s) == (80, "later", [8], "A")
    assert before is not None
    assert s.task("T").handoff.minutes_spent == before.minutes_spent == 5  # type: ignore[union-attr] # it has one here


def test_a_late_report_says_what_was_said() -> None:
    s = Scenario()
    token = expired(s)
    step = s.when("A", "progress", task_id="T", token=token, percent=7, message="here", checkpoint=[1])
    assert step.event(ev.LateProgress) == ev.LateProgress(
        token=token, agent_id="A", kind="progress", percent=7, message="here", checkpoint=[1]
    )
    s.given(OPS, "assign", task_id="T", agent_id="A")
    step = s.when("A", "complete", task_id="T", token=token, result={"x": 1})
    assert step.event(ev.LateProgress) == ev.LateProgress(token=token, agent_id="A", kind="completion", result={"x": 1})


def test_a_late_report_changes_neither_status_nor_the_new_holders_lease() -> None:
    s = Scenario()
    token = expired(s)
    s.given("B", "register")
    s.given("B", "claim")
    lease = s.lease("T")

    s.when("A", "progress", task_id="T", token=token, percent=99).refused("stale_token", "late_progress")

    assert s.lease("T") is lease
    assert s.task("T").status is TaskStatus.ASSIGNED


def test_a_late_completion_counts_after_an_expiry_while_the_task_waits() -> None:
    s = Scenario()
    token = expired(s)
    event = s.when("A", "complete", task_id="T", token=token, result=7, at=400).then("completed").event(ev.Completed)

    assert event == ev.Completed(token=token, agent_id="A", result=7, late=True, duration_s=400)
    task = s.task("T")
    assert task.outcome is not None
    assert (task.status, task.outcome.result) == (TaskStatus.COMPLETED, 7)


def test_a_late_completion_counts_in_quarantine_and_after_a_person_brought_it_back() -> None:
    for verbs in ([], ["requeue"]):
        s = Scenario()
        token = s.holds("A", "T", budgets={"expiries": 1})
        s.sweep(at=300).then("expired", "quarantined")
        for verb in verbs:
            s.given(OPS, verb, task_id="T")
        s.when("A", "complete", task_id="T", token=token).then("completed")


def test_once_the_task_is_granted_again_a_late_completion_is_stale_for_ever() -> None:
    s = Scenario()
    token = expired(s)
    s.given("B", "register")
    s.given("B", "claim")
    s.when("A", "complete", task_id="T", token=token).refused("stale_token", "late_progress")
    s.given("B", "release", task_id="T", token=s.token("T"))
    s.when("A", "complete", task_id="T", token=token).refused("stale_token", "late_progress")


def test_only_the_lease_that_expired_last_may_complete_late() -> None:
    s = Scenario()
    first = expired(s)
    s.given(OPS, "assign", task_id="T", agent_id="A")
    second = s.token("T")
    s.sweep(at=2000)

    s.when("A", "complete", task_id="T", token=first).refused("stale_token", "late_progress")
    s.when("A", "complete", task_id="T", token=second).then("completed")


@pytest.mark.parametrize(
    ("end", "kept"), [("release", False), ("block", False), ("fail", False), ("revoke", True), ("steal", True)]
)
def test_after_any_other_end_a_late_completion_is_stale(end: str, kept: bool) -> None:  # noqa: FBT001 - a parameter
    s = Scenario()
    token = s.holds("A", "T")
    s.given("B", "register")
    bodies: dict[str, dict[str, Any]] = {"block": {"reason": "x"}, "fail": {"error": "x"}}
    if end == "steal":
        s.given(OPS, "steal", from_="A", to="B", task_ids=["T"])
    elif end == "revoke":
        s.given(OPS, "revoke", task_id="T")
    else:
        s.given("A", end, task_id="T", token=token, **bodies.get(end, {}))

    s.when("A", "complete", task_id="T", token=token).refused("stale_token", *(["late_progress"] if kept else []))


def test_another_agent_with_a_lost_token_leaves_no_evidence() -> None:
    s = Scenario()
    token = expired(s)
    s.given("B", "register")
    s.when("B", "progress", task_id="T", token=token, percent=1).refused("stale_token")
    s.when("B", "complete", task_id="T", token=token).refused("stale_token")
