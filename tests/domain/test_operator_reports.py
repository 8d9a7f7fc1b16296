"""What operators and services say happened elsewhere: complete, fail and block, of a held task or any other."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events.task import Blocked, Completed, Failed, Handoff, Quarantined, Requeued, Unblocked
from domain.lifecycles import LeaseStatus, TaskStatus
from projections.state.directives import Directives
from tests.domain.situations import SITUATIONS, assigned, then
from tests.support.scenario import OPS, Scenario

ERIKA = "ops/erika"
REPORTS: dict[str, dict[str, Any]] = {
    "complete": {"result": 42},
    "fail": {"error": "no luck", "retryable": False},
    "block": {"reason": "no key"},
}


def told(s: Scenario, agent_id: str = "A") -> list[tuple[str, str]]:
    directives = Directives()
    directives.observe(s.log)
    return [(each["task_id"], each["reason"]) for each in directives.stops(agent_id)]


def handoff(s: Scenario) -> Handoff:
    found = s.task("T").handoff
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("verb", "kind", "ended", "reason"),
    [
        ("complete", Completed, LeaseStatus.COMPLETED, "completed by an operator"),
        ("fail", Failed, LeaseStatus.FAILED, "no luck"),
        ("block", Blocked, LeaseStatus.BLOCKED, "blocked: no key"),
    ],
)
@pytest.mark.parametrize("situation", ["assigned", "in progress", "stuck"])
def test_the_holders_lease_ends_and_it_is_told_to_stop(
    verb: str, kind: type[Any], ended: LeaseStatus, reason: str, situation: str
) -> None:
    s = Scenario()
    token = SITUATIONS[situation][1](s)

    step = s.when(ERIKA, verb, task_id="T", **REPORTS[verb]).then(kind.name)

    event = step.event(kind)
    assert (event.token, event.agent_id, step.records[0].actor) == (token, "A", ERIKA)
    assert (s.task("T").former[-1].token, s.task("T").former[-1].ended) == (token, ended)
    assert told(s) == [("T", reason)]


@pytest.mark.parametrize("verb", REPORTS)
@pytest.mark.parametrize("situation", ["queued", "queued after an expiry", "blocked", "quarantined after an expiry"])
def test_a_task_that_is_not_held_names_no_token(verb: str, situation: str) -> None:
    s = Scenario()
    SITUATIONS[situation][1](s)
    body = REPORTS[verb] | ({"reason": "another key"} if verb == "block" else {})

    step = s.when(ERIKA, verb, task_id="T", **body)

    (recorded,) = step.then(step.names[0]).records
    assert getattr(recorded.event, "token", 0) is None
    assert getattr(recorded.event, "agent_id", "") is None
    assert step.result == {"task_id": "T", "status": s.task("T").status, "attempt": s.task("T").attempt}


def test_an_operators_completion_keeps_result_and_duration() -> None:
    s = Scenario()
    assigned()(s)
    event = s.when(ERIKA, "complete", task_id="T", result=[1], at=30).event(Completed)
    assert (event.result, event.duration_s, event.late) == ([1], 30.0, False)
    outcome = s.task("T").outcome
    assert outcome is not None
    assert (outcome.actor, outcome.result) == (ERIKA, [1])


@pytest.mark.parametrize("verb", REPORTS)
def test_what_the_former_holder_reports_after_that_is_kept_as_evidence(verb: str) -> None:
    s = Scenario()
    token = assigned()(s)
    s.given(ERIKA, verb, task_id="T", **REPORTS[verb])
    code = "stale_token" if verb == "block" else "task_finished"
    s.when("A", "progress", task_id="T", token=token, percent=80).refused(code, "late_progress")
    s.when("A", "complete", task_id="T", token=token).refused(code, "late_progress")


def test_a_retryable_failure_of_a_held_task_is_as_its_holders() -> None:
    s = Scenario()
    token = assigned()(s)
    event = s.when(ERIKA, "fail", task_id="T", error="flaky").then("requeued").event(Requeued)
    assert (event.token, event.agent_id, event.cause, event.attempt) == (token, "A", "failure", 2)
    assert told(s) == [("T", "flaky")]
    assert handoff(s).from_agent == "A"


def test_a_retryable_failure_of_a_held_task_in_its_last_attempt_sets_it_aside() -> None:
    s = Scenario()
    assigned(budgets={"attempts": 1})(s)
    s.when(ERIKA, "fail", task_id="T", error="flaky").then("quarantined").event(Quarantined)
    assert told(s) == [("T", "flaky")]


@pytest.mark.parametrize("situation", ["queued", "blocked", "quarantined after an expiry"])
def test_retryable_failures_elsewhere_count_and_the_last_one_ends_the_task(situation: str) -> None:
    s = Scenario()
    SITUATIONS[situation][1](s)
    attempt = s.task("T").attempt
    for failures in (1, 2):
        s.when(ERIKA, "fail", task_id="T", error="elsewhere").then("requeued")
        assert (s.task("T").status, s.task("T").failures) == (TaskStatus.QUEUED, failures)
        assert s.task("T").attempt == attempt + failures
    event = s.when(ERIKA, "fail", task_id="T", error="elsewhere").then("failed").event(Failed)
    assert (event.failures, event.retryable) == (3, True)


@pytest.mark.parametrize("question", [None, "MIT or Apache?"])
def test_a_failure_of_a_blocked_task_keeps_the_work_of_the_holder_that_was_blocked(question: str | None) -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.at(60).given("A", "progress", task_id="T", token=token, percent=40, checkpoint={"page": 2}, message="half")
    s.at(120).given("A", "block", task_id="T", token=token, reason="stop", question=question)

    s.at(600).when(ERIKA, "fail", task_id="T", error="no licence").then("requeued")

    kept = handoff(s)
    assert (kept.from_agent, kept.token, kept.progress, kept.last_checkpoint) == ("A", token, 40, {"page": 2})
    assert (kept.last_note, kept.minutes_spent, kept.question) == ("half", 2.0, question)
    assert kept.reason == "failed: no licence"


def test_a_failure_of_a_task_that_is_queued_again_leaves_its_hand_off() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", "progress", task_id="T", token=token, percent=40)
    s.given("A", "release", task_id="T", token=token, reason="tired")
    before = handoff(s)
    s.when(ERIKA, "fail", task_id="T", error="elsewhere").then("requeued")
    assert handoff(s) == before


def test_a_failure_after_an_answer_keeps_the_work_and_the_answer() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", "progress", task_id="T", token=token, percent=40, checkpoint={"page": 2})
    s.given("A", "block", task_id="T", token=token, reason="stop", question="MIT or Apache?")
    s.given(ERIKA, "unblock", task_id="T", answer="MIT")
    before = handoff(s)
    s.when(ERIKA, "fail", task_id="T", error="elsewhere").then("requeued")
    assert handoff(s) == before
    assert (before.last_checkpoint, before.answer) == ({"page": 2}, "MIT")


@pytest.mark.parametrize("verb", ["fail", "block"])
def test_an_attempt_that_no_agent_made_is_not_counted(verb: str) -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", budgets={"attempts": 1})
    s.given(ERIKA, verb, task_id="T", **({"error": "elsewhere"} if verb == "fail" else {"reason": "wait"}))
    if verb == "block":
        s.given(ERIKA, "unblock", task_id="T")
    assert (s.task("T").attempt, s.task("T").attempts_used) == (2, 1)


def test_an_attempt_that_was_made_counts_also_when_an_operator_blocks_it() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.given(ERIKA, "block", task_id="T", reason="wait")
    s.given(ERIKA, "unblock", task_id="T")
    assert (s.task("T").attempt, s.task("T").attempts_used) == (2, 2)


def test_a_holder_that_lets_go_itself_is_not_told_to_stop() -> None:
    for verb, body in REPORTS.items():
        s = Scenario()
        then(verb, assigned(), **body)(s)
        assert told(s) == []


def test_a_question_and_its_answer_go_to_the_next_holder() -> None:
    s = Scenario()
    then("block", assigned(), reason="which licence", question="MIT or Apache?")(s)
    assert s.log[-1].event == Blocked(
        token=s.log[-1].event.__dict__["token"], agent_id="A", reason="which licence", question="MIT or Apache?"
    )

    s.when(ERIKA, "unblock", task_id="T", answer="MIT").then("unblocked", "requeued").event(Unblocked)

    (lease,) = s.given("B", "claim").result["leases"]
    assert (lease["handoff"]["question"], lease["handoff"]["answer"]) == ("MIT or Apache?", "MIT")
    s.given("B", "release", task_id="T", token=lease["token"])
    assert (handoff(s).question, handoff(s).answer) == ("MIT or Apache?", "MIT")


def test_a_question_on_a_task_that_was_never_held_is_handed_over_too() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.given(ERIKA, "block", task_id="T", reason="unclear", question="Which one?")
    s.given(ERIKA, "unblock", task_id="T", answer="The second")
    assert handoff(s).from_agent is None
    assert (handoff(s).question, handoff(s).answer) == ("Which one?", "The second")


def test_another_question_takes_the_place_of_the_first_and_its_answer() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.given(ERIKA, "block", task_id="T", reason="unclear", question="Which one?")
    s.when(ERIKA, "block", task_id="T", reason="unclear", question="Which one?").then()
    s.when(ERIKA, "block", task_id="T", reason="unclear", question="What for?").then("blocked")
    s.given(ERIKA, "unblock", task_id="T", answer="Fun")
    s.given(ERIKA, "block", task_id="T", reason="no key")
    assert (s.task("T").question, s.task("T").answer) == (None, None)


def test_a_blocked_task_of_an_expired_lease_takes_no_late_completion() -> None:
    s = Scenario()
    token = SITUATIONS["queued after an expiry"][1](s)
    s.given(ERIKA, "block", task_id="T", reason="no key")
    s.when("A", "complete", task_id="T", token=token).refused("stale_token", "late_progress")
