"""Queued tasks that wait: after a failure, after a release with a delay, and from their submission."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from domain.decisions.after_attempt import record_failure
from domain.draft import Draft
from domain.events import Entity
from domain.events import task as ev
from domain.policies.retry import RetryPolicy
from domain.pool import jitter_fraction
from domain.rules import Rules
from domain.timestamps import after, format_timestamp
from projections.state.backlog import MAX_SKIPPED
from tests.support.scenario import OPS, START, Scenario

PLAIN = {"delay_s": 10, "backoff": 2, "max_delay_s": 300}


def granted(s: Scenario, agent_id: str, **body: Any) -> list[str]:
    return [lease["task_id"] for lease in s.given(agent_id, "claim", **body).result["leases"]]


def fails(s: Scenario, agent_id: str, task_id: str = "T") -> ev.Requeued:
    return s.given(agent_id, "fail", task_id=task_id, token=s.token(task_id), error="no").event(ev.Requeued)


def delay_s(s: Scenario, event: ev.Requeued) -> float:
    assert event.not_before is not None
    return (event.not_before - s.now).total_seconds()


# After a failure


def test_a_failed_task_waits_and_every_failure_doubles_it_with_jitter_from_the_token() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", budgets={"failures": 9})
    for failures in (1, 2, 3, 4):
        assert granted(s, "A") == ["T"]
        token = s.token("T")
        wait_s = delay_s(s, fails(s, "A"))
        assert wait_s == pytest.approx(2 ** (failures - 1) * (1 + jitter_fraction(token) / 4), abs=1e-6)
        assert granted(s, "A") == []
        s.wait(wait_s - 0.001)
        assert granted(s, "A") == []
        s.wait(0.001)


@pytest.mark.parametrize("wanted_s", [0.5, 400])
def test_a_holder_that_fails_may_say_for_how_long_the_task_waits(wanted_s: float) -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", retry=PLAIN)
    assert granted(s, "A") == ["T"]
    step = s.given("A", "fail", task_id="T", token=s.token("T"), error="no", delay_s=wanted_s)
    assert delay_s(s, step.event(ev.Requeued)) == wanted_s


def test_a_holder_that_fails_may_have_it_tried_again_at_once() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", retry=PLAIN)
    assert granted(s, "A") == ["T"]
    s.given("A", "fail", task_id="T", token=s.token("T"), error="no", delay_s=0)
    (lease,) = s.given("A", "claim").result["leases"]
    assert (lease["failures"], lease["required_capabilities"]) == (1, [])


def test_the_policy_is_the_tasks_or_the_pools_and_is_recorded_with_the_task() -> None:
    s = Scenario(Rules(retry=RetryPolicy(delay_s=7, backoff=1)))
    s.given("A", "register", capacity=9)
    for task_id, retry in (("pools", None), ("own", {"delay_s": 30}), ("none", {"delay_s": 0})):
        s.given(OPS, "submit", task_id=task_id, retry=retry)
        s.given(OPS, "assign", task_id=task_id, agent_id="A")
    assert s.task("own").definition.retry == RetryPolicy(delay_s=30, backoff=1, max_delay_s=300)
    assert 7 <= delay_s(s, fails(s, "A", "pools")) <= 7 * 1.25
    assert 30 <= delay_s(s, fails(s, "A", "own")) <= 30 * 1.25
    assert fails(s, "A", "none").not_before is None
    assert granted(s, "A") == ["none"]


def test_a_task_of_an_older_log_waits_as_the_pools_settings_say() -> None:
    s = Scenario(Rules(retry=RetryPolicy(delay_s=50)))
    s.holds("A", "T")
    task = s.task("T")
    draft = Draft(s.state, s.request("A", "heartbeat"), s.now, s.rules)
    draft.after[Entity.TASK, "T"] = old = replace(task, definition=replace(task.definition, retry=None))
    record_failure(draft, old, "no", retryable=True)
    (requeued,) = [each.event for each in draft.records if isinstance(each.event, ev.Requeued)]
    assert 50 <= delay_s(s, requeued) <= 50 * 1.25


def test_another_agent_is_preferred_for_one_more_delay() -> None:
    s = Scenario()
    s.given("A", "register", capacity=5)
    s.given("B", "register", capacity=5)
    s.given(OPS, "submit", task_id="T", retry=PLAIN)
    assert granted(s, "A") == ["T"]
    wait_s = delay_s(s, fails(s, "A"))
    s.given(OPS, "submit", task_id="U")
    s.wait(wait_s)
    assert granted(s, "A", max=5) == ["U"]
    assert granted(s, "B", max=5) == ["T"]
    wait_s = delay_s(s, fails(s, "B"))
    s.wait(2 * wait_s - 0.001)
    assert granted(s, "B") == []
    s.wait(0.001)
    assert granted(s, "B") == ["T"]


@pytest.mark.parametrize("other", ["unable", "full", "paused", "deregistered"])
def test_who_failed_gets_it_back_when_there_is_no_other(other: str) -> None:
    s = Scenario()
    s.given("A", "register", capabilities=["gpu"])
    s.given("B", "register", capabilities=["gpu"] if other != "unable" else [])
    s.given(OPS, "submit", task_id="T", required_capabilities=["gpu"], retry=PLAIN)
    assert granted(s, "A") == ["T"]
    wait_s = delay_s(s, fails(s, "A"))
    match other:
        case "full":
            s.given(OPS, "submit", task_id="U")
            s.given(OPS, "assign", task_id="U", agent_id="B")
        case "paused":
            s.given(OPS, "pause", agent_id="B")
        case "deregistered":
            s.given("B", "deregister")
    s.wait(wait_s)
    assert granted(s, "A") == ["T"]


def test_a_claim_looks_past_a_limited_number_of_tasks_that_others_should_take() -> None:
    s = Scenario()
    s.given("A", "register", capacity=500)
    tasks = [{"task_id": f"T{number:03}", "retry": PLAIN | {"max_delay_s": 10}} for number in range(MAX_SKIPPED + 1)]
    s.given(OPS, "submit_many", tasks=tasks)
    for number in range(MAX_SKIPPED + 1):
        s.given(OPS, "assign", task_id=f"T{number:03}", agent_id="A")
    for number in range(MAX_SKIPPED + 1):
        fails(s, "A", f"T{number:03}")
    s.given(OPS, "submit", task_id="U")
    s.given("B", "register", capacity=500)
    s.state.queued_for(s.agent("A"), 1, after(s.now, 10))
    assert [task.task_id for task in s.state.queued_for(s.agent("A"), 1, after(s.now, 10))] == ["T000"]
    assert len(s.state.queued_for(s.agent("B"), 500, after(s.now, 10))) == MAX_SKIPPED + 2


# After a release


def test_a_release_may_ask_for_a_delay() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    step = s.given("A", "release", task_id="T", token=token, delay_s=60).then("released", "requeued")
    assert step.event(ev.Requeued).not_before == after(s.now, 60)
    assert granted(s, "A") == []
    s.wait(59.999)
    assert granted(s, "A") == []
    s.wait(0.001)
    assert granted(s, "A") == ["T"]
    assert s.task("T").not_before is None


@pytest.mark.parametrize("body", [{}, {"delay_s": 0}])
def test_a_release_without_a_delay_does_not_wait(body: dict[str, Any]) -> None:
    s = Scenario()
    token = s.holds("A", "T")
    step = s.given("A", "release", task_id="T", token=token, **body)
    assert step.event(ev.Requeued).not_before is None
    assert granted(s, "A") == ["T"]


# From the submission


@pytest.mark.parametrize("body", [{"delay_s": 60}, {"not_before": format_timestamp(after(START, 60))}])
def test_a_task_may_be_submitted_for_later(body: dict[str, Any]) -> None:
    s = Scenario()
    s.given("A", "register", capacity=9)
    event = s.given(OPS, "submit", task_id="T", priority="critical", **body).event(ev.Submitted)
    assert event.not_before == after(START, 60)
    s.given(OPS, "submit", task_id="now", priority="low")
    assert granted(s, "A", max=9) == ["now"]
    refusal = s.wait(59.999).when(OPS, "assign", task_id="T", agent_id="A").refused("illegal_transition")
    assert refusal.details["not_before"] == format_timestamp(after(START, 60))
    assert s.given(OPS, "submit", task_id="T", priority="critical", **body).records == []
    s.wait(0.001)
    assert granted(s, "A") == ["T"]


def test_a_task_that_was_submitted_for_later_keeps_the_place_of_its_submission() -> None:
    s = Scenario()
    s.given("A", "register", capacity=9)
    s.given(OPS, "submit", task_id="T", delay_s=60)
    s.given(OPS, "submit", task_id="later")
    s.wait(60)
    assert granted(s, "A", max=9) == ["T", "later"]


def test_the_deadline_of_a_delayed_task_counts_and_must_leave_it_time() -> None:
    s = Scenario()
    s.when(OPS, "submit", task_id="T", delay_s=60, deadline_s=60).refused("invalid_command")
    later = format_timestamp(after(START, 61))
    s.when(OPS, "submit", task_id="T", not_before=later, deadline_s=60).refused("invalid_command")
    s.given(OPS, "submit", task_id="T", delay_s=59, deadline_s=60)
    s.given("A", "register", capacity=9)
    s.given(OPS, "submit", task_id="short", deadline_s=5, retry=PLAIN)
    assert granted(s, "A") == ["short"]
    fails(s, "A", "short")
    s.sweep(at=6).then("failed")


def test_what_waits_for_its_time_can_be_cancelled() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", delay_s=60)
    s.given(OPS, "cancel", task_id="T").then("cancelled")
    s.wait(60)
    assert len(s.state.indexes.backlog) == 0


def test_an_earlier_moment_changes_nothing() -> None:
    s = Scenario()
    s.given("A", "register", capacity=9)
    s.given(OPS, "submit", task_id="T", delay_s=60)
    s.state.indexes.backlog.advance(after(s.now, 60))
    s.state.indexes.backlog.advance(s.now)
    assert [task.task_id for task in s.state.queued_for(s.agent("A"), 1, s.now)] == ["T"]


# Together with what operators do


def test_a_retry_does_not_wait_for_the_moment_that_the_first_task_waited_for() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", delay_s=60, retry=PLAIN)
    s.given(OPS, "cancel", task_id="T")
    again = s.given(OPS, "retry", task_id="T").event(ev.Submitted)
    assert again.not_before is None
    assert again.retry == s.task("T").definition.retry
    s.given("A", "register")
    assert granted(s, "A") == ["T-r1"]


def test_a_failure_that_an_operator_reports_waits_too_also_while_no_one_holds_the_task() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", retry=PLAIN)
    reported = s.given(OPS, "fail", task_id="T", error="no").event(ev.Requeued)
    assert 10 <= delay_s(s, reported) <= 10 * 1.25
    assert s.task("T").avoids is None


def test_a_failure_reported_before_the_tasks_time_does_not_bring_that_forward() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", delay_s=60, retry=PLAIN)
    assert delay_s(s, s.given(OPS, "fail", task_id="T", error="no").event(ev.Requeued)) == 60


def test_the_same_submit_with_a_delay_is_known_and_one_with_another_delay_is_not() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", delay_s=60)
    s.wait(5)
    assert s.when(OPS, "submit", task_id="T", delay_s=60).then().result["was"] == "known"
    same = format_timestamp(after(START, 60))
    assert s.when(OPS, "submit", task_id="T", not_before=same).then().result["was"] == "known"
    s.when(OPS, "submit", task_id="T", delay_s=61).refused("task_exists")
    s.when(OPS, "submit", task_id="T", delay_s=60, deadline_s=10).refused("task_exists")


def test_a_retry_field_that_is_spelled_out_is_not_the_pools() -> None:
    s = Scenario(Rules(retry=RetryPolicy(delay_s=7)))
    s.given(OPS, "submit", task_id="T", retry={"delay_s": 1})
    s.when(OPS, "submit", task_id="T").refused("task_exists")
    s.when(OPS, "submit", task_id="T", retry={}).refused("task_exists")


@pytest.mark.parametrize("delay_s", [0, 60])
def test_many_submitted_at_once_may_wait_each_on_its_own(delay_s: float) -> None:
    s = Scenario()
    s.given("A", "register", capacity=2)
    s.given(OPS, "submit_many", tasks=[{"task_id": "T", "delay_s": delay_s}, {"task_id": "U"}])
    assert granted(s, "A", max=2) == (["U"] if delay_s else ["T", "U"])


def test_an_overdue_task_is_not_granted_and_fails_at_a_claim_though_others_wait() -> None:
    s = Scenario()
    s.given("A", "register", capacity=9)
    s.given(OPS, "submit", task_id="late", deadline_s=1)
    s.given(OPS, "submit", task_id="waits", delay_s=3600)
    s.given(OPS, "submit", task_id="ready")
    s.wait(30)
    assert granted(s, "A", max=9) == ["ready"]
    assert [s.task(each).status for each in ("late", "waits")] == ["failed", "queued"]
