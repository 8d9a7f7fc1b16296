"""What the next holder is told of the attempts before."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events.task import EarlierWork, Handoff, Requeued
from domain.rules import Rules
from projections.queries.documents import task_document
from projections.reports.explain import explain
from tests.support.scenario import OPS, Scenario


def handoff(s: Scenario) -> Handoff:
    found = s.task("T").handoff
    assert found is not None
    return found


def worked(s: Scenario, **report: Any) -> int:
    token = s.holds("A", "T")
    s.at(60).given("A", "progress", task_id="T", token=token, **({"percent": 60} | report))
    return token


def test_the_first_holder_is_told_nothing() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.given("A", "register")
    (lease,) = s.given("A", "claim").result["leases"]
    assert lease["handoff"] is None


def test_the_next_holder_is_told_everything_that_is_known() -> None:
    s = Scenario(Rules(branch_template="work/{task_id}/{agent_id}-{attempt}"))
    worked(s, message="tests left", checkpoint={"file": "a.py"})
    s.sweep(at=360).then("expired", "requeued")
    s.given("B", "register")

    (lease,) = s.given("B", "claim").result["leases"]

    told = lease["handoff"]
    assert told["recovered_at"] == "2026-11-21T08:06:00.000000Z"
    assert told["valid_until"] == "2026-11-22T08:06:00.000000Z"
    assert (told["from_agent"], told["progress"], told["minutes_spent"]) == ("A", 60, 6.0)
    assert (told["branch"], told["last_note"]) == ("work/T/A-1", "tests left")
    assert told["last_checkpoint"] == {"file": "a.py"}
    assert told["reason"] == "lease expired at 2026-11-21T08:05:00.000000Z, 300 s after A was last heard on it"
    assert told["instructions"] == (
        f"A held this task for 6 minutes and came to 60 %; it ended: {told['reason']}. "
        "Its last note: \u201ctests left\u201d. "
        "Look at branch work/T/A-1 for its work. Go on from the last checkpoint. "
        "Find out what is already done before you repeat it; the former holder may still be at work."
    )


def test_a_branch_is_named_by_the_token_of_the_tasks_id() -> None:
    s = Scenario(Rules(branch_template="work/{task_id}"))
    s.holds("A", "../owner#12{attempt}")
    s.sweep(at=360)
    found = s.task("../owner#12{attempt}").handoff
    assert found is not None
    assert found.branch == "work/%2E%2E%2Fowner%2312%7Battempt%7D"


@pytest.mark.parametrize(
    ("at", "valid"), [(86_460.0, True), (86_460.000001, False)], ids=["24 hours: valid", "a tick later: no more"]
)
def test_its_advice_is_valid_for_a_day_and_what_was_reported_for_ever(at: float, *, valid: bool) -> None:
    s = Scenario(Rules(branch_template="{task_id}"))
    s.given("A", "release", task_id="T", token=worked(s, message="n", checkpoint={"line": 1}))

    (lease,) = s.at(at).given("A", "claim").result["leases"]

    told = lease["handoff"]
    assert (told["progress"], told["last_note"], told["last_checkpoint"]) == (60, "n", {"line": 1})
    assert bool(told["instructions"]) is valid
    assert (told["branch"] is not None) is valid
    assert task_document(s.task("T"), s.now)["handoff"] == told
    why = "".join(explain(s.task("T"), s.state.pool, s.rules, s.now).why)
    assert ("Look at branch T" in why) is valid
    assert valid or "hand-off at 60 %, with a checkpoint; its advice was valid until" in why


def test_a_release_hands_its_checkpoint_on() -> None:
    s = Scenario()
    token = worked(s, checkpoint={"line": 1})
    s.given("A", "release", task_id="T", token=token, checkpoint={"line": 2}, reason="lunch")
    assert (handoff(s).last_checkpoint, handoff(s).reason) == ({"line": 2}, "lunch")


def test_a_holder_that_never_reported_hides_nothing_of_those_before_it() -> None:
    s = Scenario()
    s.given("A", "release", task_id="T", token=worked(s, message="m", checkpoint=[1]))
    s.given("B", "register")
    s.given("B", "claim")
    s.given("B", "release", task_id="T", token=s.token("T"))

    told = handoff(s)
    assert (told.from_agent, told.progress, told.last_note, told.last_checkpoint) == ("B", 60, "m", [1])
    assert (told.token, told.reported_by, told.reported_token) == (s.task("T").former[-1].token, "A", 3)
    assert told.instructions.startswith(
        "B held this task for 0 minutes and reported nothing; it ended: released by B. A came to 60 % before."
    )


def test_progress_note_and_checkpoint_are_of_one_lease() -> None:
    s = Scenario()
    s.given("A", "release", task_id="T", token=worked(s, message="m", checkpoint=[1]))
    s.given("B", "register")
    s.given("B", "claim")
    s.given("B", "progress", task_id="T", token=s.token("T"), percent=70)
    s.given("B", "release", task_id="T", token=s.token("T"))

    told = handoff(s)

    assert (told.progress, told.last_note, told.last_checkpoint, told.reported_by) == (70, None, None, "B")
    assert told.earlier == EarlierWork(token=3, agent_id="A", progress=60, note="m", checkpoint=[1])
    assert "It left no checkpoint; A left one at 60 % before." in told.instructions


def test_a_checkpoint_at_a_release_is_a_report_of_where_the_holder_began() -> None:
    s = Scenario()
    s.given("A", "release", task_id="T", token=worked(s, message="m", checkpoint=[1]))
    s.given("B", "register")
    s.given("B", "claim")
    s.given("B", "release", task_id="T", token=s.token("T"), checkpoint=[2])
    assert (handoff(s).progress, handoff(s).last_checkpoint, handoff(s).reported_by) == (60, [2], "B")


def test_its_words_are_made_of_its_fields_when_they_are_shown() -> None:
    s = Scenario()
    token = worked(s, percent=30)
    s.sweep(at=5000).then("expired", "requeued")
    s.when("A", "progress", task_id="T", token=token, percent=88, message="late").refused(
        "stale_token", "late_progress"
    )
    s.given("B", "register")

    (lease,) = s.given("B", "claim").result["leases"]

    assert "came to 88 %" in lease["handoff"]["instructions"]
    assert "Its last note: “late”." in lease["handoff"]["instructions"]
    assert "came to 88 %" in task_document(s.task("T"), s.now)["handoff"]["instructions"]
    assert "came to 88 %" in "".join(explain(s.task("T"), s.state.pool, s.rules, s.now).why)


def test_minutes_spent_end_with_the_lease_not_with_the_block() -> None:
    s = Scenario()
    token = worked(s)
    s.at(120).given("A", "block", task_id="T", token=token, reason="no key")
    s.at(90_000).given(OPS, "unblock", task_id="T")
    assert handoff(s).minutes_spent == 2


def test_a_holder_that_reported_less_is_believed() -> None:
    s = Scenario()
    s.given("A", "release", task_id="T", token=worked(s))
    s.given("B", "register")
    s.given("B", "claim")
    s.given("B", "progress", task_id="T", token=s.token("T"), percent=10)
    s.given("B", "release", task_id="T", token=s.token("T"))
    assert handoff(s).progress == 10


@pytest.mark.parametrize(("verb", "cause"), [("revoke", "revoke"), ("unblock", "unblock"), ("requeue", "operator")])
def test_an_operators_requeue_carries_its_cause_and_the_hand_off(verb: str, cause: str) -> None:
    s = Scenario()
    token = worked(s)
    if verb == "unblock":
        s.given("A", "block", task_id="T", token=token, reason="no key")
    elif verb == "requeue":
        s.sweep(at=5000)
        while s.task("T").status == "queued":
            s.given("A", "claim")
            s.wait(5000).sweep()

    event = s.given(OPS, verb, task_id="T", reason="because").event(Requeued)

    assert (event.cause, event.reason) == (cause, "because")
    assert event.handoff is not None
    assert event.handoff.progress == 60


def test_a_template_names_only_what_it_names() -> None:
    s = Scenario(Rules(branch_template="{task_id}{task_id}/{other}"))
    s.given("A", "release", task_id="T", token=worked(s))
    assert handoff(s).branch == "TT/{other}"
