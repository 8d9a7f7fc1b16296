"""Every command on a task, on every status: the lifecycle table of the wire contract, seen from outside."""

from __future__ import annotations

from typing import Any

import pytest

from domain.lifecycles import HELD, TASK, TERMINAL, TaskStatus
from tests.domain.situations import NEVER, SITUATIONS
from tests.support.cases import case
from tests.support.scenario import OPS, Scenario, Step

Expected = str | list[str]
"""Event names, or an error code; an error code with a plus: and the late report is kept."""

HOLDER: dict[str, dict[str, Any]] = {
    "lease": {},
    "start": {},
    "progress": {"percent": 40, "message": "still at it"},
    "silence": {"for_s": 60.0, "reason": "a long build"},
    "release": {},
    "block": {"reason": "no key"},
    "complete": {"result": {"answer": 42}},
    "fail": {"error": "it broke"},
}
OPERATOR: dict[str, dict[str, Any]] = {
    "submit": {},
    "submit_another": {"title": "something else"},
    "assign": {"agent_id": "B"},
    "cancel": {},
    "requeue": {},
    "unblock": {},
    "revoke": {},
    "complete": {"result": 42},
    "fail": {"error": "no", "retryable": False},
    "fail_retryably": {"error": "no"},
    "block": {"reason": "no key"},
    "steal": {"from_": "A", "to": "B"},
}


def each(outcome: Expected, **others: Expected) -> dict[str, Expected]:
    return dict.fromkeys(HOLDER, outcome) | others


STALE = each("stale_token")
STALE_AND_KEPT = each("stale_token", progress="stale_token+", complete="stale_token+")
EXPIRED = each("stale_token", progress="stale_token+", complete=["completed"])
FINISHED = each("task_finished")
FINISHED_AND_KEPT = each("task_finished", progress="task_finished+", complete="task_finished+")


def held(**outcomes: Expected) -> dict[str, Expected]:
    """Letting go is the same from every status in which the task is held."""
    letting_go: dict[str, Expected] = {
        "release": ["released", "requeued"],
        "block": ["blocked"],
        "fail": ["requeued"],
    }
    return letting_go | outcomes


FORMER_OR_CURRENT_HOLDER: dict[str, dict[str, Expected]] = {
    "queued": STALE,
    "queued after an expiry": EXPIRED,
    "queued after a release": STALE,
    "queued after a revocation": STALE_AND_KEPT,
    "queued after a failure": STALE,
    "assigned": held(
        lease=[],
        start=["started"],
        progress=["progressed"],
        silence=["silenced"],
        complete=["completed"],
    ),
    "assigned, stolen for B": STALE_AND_KEPT,
    "in progress": held(
        lease=[],
        start=[],
        progress=["progressed"],
        silence=["silenced"],
        complete=["completed"],
    ),
    "stuck": held(
        lease=["recovered"],
        start=["recovered"],
        progress=["recovered", "progressed"],
        silence=["recovered", "silenced"],
        complete=["completed"],
    ),
    "blocked": STALE,
    "quarantined after an expiry": EXPIRED,
    "quarantined after a release": STALE,
    "completed": FINISHED,
    "failed by its holder": FINISHED,
    "failed over its deadline": FINISHED_AND_KEPT,
    "cancelled while held": FINISHED_AND_KEPT,
    "cancelled while queued": FINISHED,
}


def operator(outcome: Expected, **others: Expected) -> dict[str, Expected]:
    unless_said: dict[str, Expected] = dict.fromkeys(OPERATOR, outcome)
    return unless_said | {"submit": [], "submit_another": "task_exists"} | others


def illegal_but(**others: Expected) -> dict[str, Expected]:
    reported: dict[str, Expected] = {
        "complete": ["completed"],
        "fail": ["failed"],
        "fail_retryably": ["requeued"],
        "block": ["blocked"],
    }
    return operator("illegal_transition", cancel=["cancelled"], **(reported | others))


REVOKED: Expected = ["revoked", "requeued"]
MOVED: Expected = ["planned", "executing", "stolen", "completed"]
OPERATORS: dict[TaskStatus, dict[str, Expected]] = {
    TaskStatus.QUEUED: illegal_but(assign=["leased"]),
    TaskStatus.ASSIGNED: illegal_but(revoke=REVOKED, steal=MOVED),
    TaskStatus.IN_PROGRESS: illegal_but(revoke=REVOKED),
    TaskStatus.STUCK: illegal_but(revoke=REVOKED, requeue=REVOKED),
    TaskStatus.BLOCKED: illegal_but(unblock=["unblocked", "requeued"], block=[]),
    TaskStatus.QUARANTINED: illegal_but(requeue=["requeued"]),
    **{status: operator("task_finished") for status in TERMINAL},
}


def stand(situation: str) -> tuple[Scenario, int]:
    status, build = SITUATIONS[situation]
    s = Scenario()
    token = build(s)
    assert s.task("T").status == status
    return s, token


def check(step: Step, expected: Expected) -> None:
    if isinstance(expected, list):
        step.then(*expected)
    elif expected.endswith("+"):
        step.refused(expected[:-1], "late_progress")
    else:
        step.refused(expected)


def says(expected: Expected) -> str:
    return expected if isinstance(expected, str) else ", ".join(expected) or "no event"


def test_every_status_a_task_can_rest_in_is_in_the_tables() -> None:
    statuses = {status for status, _ in SITUATIONS.values()}
    assert statuses == set(TaskStatus) - {TaskStatus.NEW, TaskStatus.UNHELD} == OPERATORS.keys()
    assert FORMER_OR_CURRENT_HOLDER.keys() == SITUATIONS.keys()
    assert all(row.keys() == HOLDER.keys() for row in FORMER_OR_CURRENT_HOLDER.values())


@pytest.mark.parametrize("situation", FORMER_OR_CURRENT_HOLDER)
def test_the_agent_that_holds_or_held_it(situation: str) -> None:
    for verb, expected in FORMER_OR_CURRENT_HOLDER[situation].items():
        with case(f"{verb} -> {says(expected)}"):
            s, token = stand(situation)
            before = s.task("T")

            step = s.when("A", verb, task_id="T", token=token, **HOLDER[verb])

            check(step, expected)
            if step.refusal is not None:
                after = s.task("T")
                assert (after.status, after.attempt, after.lease) == (before.status, before.attempt, before.lease)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_another_agent_with_the_same_token(situation: str) -> None:
    s, token = stand(situation)
    task = s.task("T")
    current = task.lease is not None and task.lease.token == token
    expected = "task_finished" if task.terminal else "not_holder" if current else "stale_token"

    for verb, body in HOLDER.items():
        with case(verb):
            s.when("B", verb, task_id="T", token=token, **body).refused(expected)
            assert s.task("T") == task


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_token_that_never_was(situation: str) -> None:
    s, _ = stand(situation)
    task = s.task("T")
    expected = "task_finished" if task.terminal else "stale_token"

    for verb, body in HOLDER.items():
        for token in (NEVER, 9_999):
            with case(f"{verb} with {token}"):
                s.when("A", verb, task_id="T", token=token, **body).refused(expected)
                assert s.task("T") == task


@pytest.mark.parametrize("situation", SITUATIONS)
def test_an_operator(situation: str) -> None:
    for verb in OPERATOR:
        # What an agent does not hold is not stolen from it.
        if not (situation == "assigned, stolen for B" and verb == "steal"):
            with case(verb):
                check_operator(situation, verb)


def check_operator(situation: str, verb: str) -> None:
    s, _ = stand(situation)
    task = s.task("T")
    expected = OPERATORS[task.status][verb]
    body = OPERATOR[verb] | ({"task_ids": ["T"]} if verb == "steal" else {"task_id": "T"})
    if verb == "submit":
        body |= definition_of(s)

    step = s.when(OPS, verb.partition("_")[0], **body)

    check(step, expected)
    # Another failure is another failure.
    if isinstance(expected, list) and expected and verb != "fail_retryably":
        assert s.when(OPS, verb.partition("_")[0], **body).records == [], "a repeat appends nothing"
    if expected == "illegal_transition" and step.refusal is not None:
        details = step.refusal.details
        assert details["state"] == task.status.value
        assert set(details["allowed"]) <= set(TASK.allowed(task.status))


def definition_of(s: Scenario) -> dict[str, Any]:
    """Return the fields that the task was submitted with, beside its id."""
    definition = s.task("T").definition
    sent: dict[str, Any] = {}
    if definition.on_silence.value == "stuck":
        sent["on_silence"] = "stuck"
    if definition.deadline is not None:
        sent["deadline_s"] = (definition.deadline - s.task("T").submitted_at).total_seconds()
    changed = {k: v for k, v in definition.budgets if v != type(definition.budgets).model_fields[k].default}
    return sent | ({"budgets": changed} if changed else {})


def test_what_an_agent_does_not_hold_is_not_stolen_from_it() -> None:
    s, _ = stand("assigned, stolen for B")
    s.given("C", "register")

    refusal = s.when(OPS, "steal", from_="A", to="C", task_ids=["T"]).refused("illegal_transition")

    assert "A does not hold it" in refusal.message


@pytest.mark.parametrize("verb", HOLDER)
def test_a_task_that_never_was(verb: str) -> None:
    s, _ = stand("queued")
    s.when("A", verb, task_id="X", token=1, **HOLDER[verb]).refused("unknown_task")


@pytest.mark.parametrize("situation", [name for name, (status, _) in SITUATIONS.items() if status in HELD])
def test_a_stale_token_names_the_current_state_and_holder(situation: str) -> None:
    s, _ = stand(situation)
    details = s.when("A", "start", task_id="T", token=9_999).refused("stale_token").details

    task = s.task("T")
    assert (details["status"], details["holder"], details["attempt"]) == (
        task.status.value,
        s.lease("T").agent_id,
        task.attempt,
    )


@pytest.mark.parametrize("situation", [name for name, (status, _) in SITUATIONS.items() if status in TERMINAL])
def test_a_finished_task_says_how_it_ended(situation: str) -> None:
    s, _ = stand(situation)
    details = s.when("A", "start", task_id="T", token=9_999).refused("task_finished").details

    assert details["status"] == s.task("T").status.value
    assert details["by"] in {"agent/A", "ops", "sweeper"}
    assert details["ended_at"].endswith("Z")


def test_a_late_completion_that_was_accepted_is_not_late_evidence_the_second_time() -> None:
    s, token = stand("queued after an expiry")
    s.given("A", "complete", task_id="T", token=token).then("completed")

    s.when("A", "complete", task_id="T", token=token).refused("task_finished")


def test_a_first_report_starts_the_task_and_its_clocks_as_start_does() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    token = s.token("T")
    reported_at = s.at(7).now
    s.given("A", "progress", task_id="T", token=token, percent=0)
    started_at = s.at(9).now
    s.given("A", "start", task_id="U", token=s.token("U"))
    s.at(20).given("A", "progress", task_id="T", token=token, percent=0)
    for task_id, at in (("T", reported_at), ("U", started_at)):
        task, lease = s.task(task_id), s.lease(task_id)
        assert (task.status, task.status_since, lease.started_at) == (TaskStatus.IN_PROGRESS, at, at)
        assert lease.advanced_at == at, "a report without a change is no advance"


def test_a_task_that_was_reported_on_is_not_stolen() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("B", "register", capacity=5)
    s.given("A", "progress", task_id="T", token=token, percent=0)
    s.when(OPS, "steal", from_="A", to="B", task_ids=["T"]).refused("illegal_transition")
