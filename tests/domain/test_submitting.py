"""Putting tasks into the pool: the same request twice is one task, another one for the same id is refused."""

from __future__ import annotations

from typing import Any

import pytest

from domain.commands.command_digest import definition_digest_as_sent
from domain.commands.submit import Submit
from domain.draft import Draft
from domain.events.task import Submitted
from domain.lifecycles import TaskStatus
from domain.policies.lease import LeaseMode, LeasePolicy
from domain.request import Request
from domain.rules import Rules
from domain.values import Priority
from tests.support.cases import case
from tests.support.scenario import OPS, Scenario

FULL: dict[str, Any] = {
    "title": "Build",
    "payload": {"b": 1, "a": [2, {"d": 3, "c": None}]},
    "priority": "high",
    "labels": ["x"],
    "required_capabilities": ["web", "gpu", "web"],
    "estimated_hours": 2,
    "deadline_s": 60.0,
    "on_silence": "stuck",
    "budgets": {"failures": 1},
}


def test_a_task_begins_queued_with_all_its_defaults_on_record() -> None:
    s = Scenario()
    event = s.when(OPS, "submit", task_id="T").then("submitted").event(Submitted)

    assert (event.priority, event.on_silence, event.deadline) == (Priority.MEDIUM, "requeue", None)
    assert event.lease == s.rules.lease
    assert event.budgets.model_dump() == {"failures": 3, "expiries": 3, "steals": 3, "attempts": 10, "releases": 10}
    assert (s.task("T").status, s.task("T").attempt) == (TaskStatus.QUEUED, 1)


def test_what_was_asked_is_recorded() -> None:
    s = Scenario()
    event = s.when(OPS, "submit", task_id="T", **FULL).event(Submitted)
    assert (event.title, event.payload, event.labels) == ("Build", FULL["payload"], ("x",))
    assert event.required_capabilities == ("gpu", "web")
    assert (event.priority, event.estimated_hours) == (Priority.HIGH, 2)


def test_a_task_without_a_name_is_given_one() -> None:
    s = Scenario()
    step = s.when(OPS, "submit", title="x").then("submitted")
    assert step.result == {"task_id": step.records[0].entity_id, "was": "new"}
    assert s.when(OPS, "submit", title="x").result != step.result


@pytest.mark.parametrize("body", [{}, FULL], ids=["nothing but its name", "every field"])
def test_the_same_request_again_changes_nothing_however_much_later(body: dict[str, Any]) -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", **body)
    assert s.when(OPS, "submit", task_id="T", **body, at=30).then().result == {"task_id": "T", "was": "known"}
    s.given(OPS, "cancel", task_id="T")
    assert s.when(OPS, "submit", task_id="T", **body, at=100_000).then().result == {"task_id": "T", "was": "ended"}


def test_neither_the_order_of_fields_nor_of_keys_within_makes_another_request() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", **FULL)
    again = dict(reversed(FULL.items())) | {"payload": {"a": [2, {"c": None, "d": 3}], "b": 1}}
    s.when(OPS, "submit", task_id="T", **again, command_id="other").then()


DEFAULTS: dict[str, Any] = {
    "title": "",
    "payload": None,
    "priority": "medium",
    "labels": [],
    "required_capabilities": [],
    "estimated_hours": None,
    "deadline": None,
    "on_silence": "requeue",
    "budgets": {"failures": 3, "attempts": 10},
    "lease": {},
}


@pytest.mark.parametrize("field", DEFAULTS)
def test_a_default_that_is_spelled_out_is_the_same_definition(field: str) -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.given(OPS, "submit", task_id="U", **{field: DEFAULTS[field]})
    assert s.when(OPS, "submit", task_id="T", **{field: DEFAULTS[field]}).then().result["was"] == "known"
    assert s.when(OPS, "submit", task_id="U").then().result["was"] == "known"


@pytest.mark.parametrize(
    "change",
    [
        {"required_capabilities": ["gpu", "web"]},
        {"required_capabilities": ["gpu", "gpu", "web"]},
        {"budgets": {"failures": 1, "steals": 3}},
        {"estimated_hours": 2.0},
        {"lease": {"mode": "adaptive", "max_renewals": 10}},
        {"deadline_s": None, "deadline": "2026-11-21T09:01:00+01:00"},
    ],
    ids=[
        "order of a set",
        "a set's members twice",
        "a nested default",
        "a whole number",
        "the pool's lease",
        "deadline",
    ],
)
def test_what_comes_to_the_same_definition_is_the_same(change: dict[str, Any]) -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", **FULL)
    s.when(OPS, "submit", task_id="T", **(FULL | change), at=5).then()


def test_the_order_of_labels_is_part_of_the_definition() -> None:
    """The first label that has a factor sets the length of an estimated lease."""
    s = Scenario()
    s.given(OPS, "submit", task_id="T", labels=["simple", "epic"])
    s.when(OPS, "submit", task_id="T", labels=["epic", "simple"]).refused("task_exists")


def test_other_lease_settings_of_the_pool_make_no_other_request() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.rules = Rules(lease=LeasePolicy(mode=LeaseMode.FIXED, lease_s=50.0))
    s.when(OPS, "submit", task_id="T").then()


def test_a_digest_of_the_request_as_sent_still_tells_that_it_is_the_same() -> None:
    """Logs from before bodies were normalised have such digests."""
    s = Scenario()
    request = s.request(OPS, "submit", task_id="T", **FULL)
    assert isinstance(request.command, Submit)
    as_sent = definition_digest_as_sent(request.command)
    draft = Draft(s.state, request, s.now, Rules(lease=LeasePolicy(mode=LeaseMode.FIXED)))
    draft.record_task("T", decide_submit(s, request).model_copy(update={"request_digest": as_sent}))
    s.state.apply(draft.decided())
    s.store(draft.records)

    s.when(OPS, "submit", task_id="T", **FULL).then()
    s.when(OPS, "submit", task_id="T", **(FULL | {"title": "Other"})).refused("task_exists")


def test_rules_that_an_older_log_does_not_have_make_no_other_definition() -> None:
    """Its tasks have no retry rules and no time to stall, and digests of requests that were written down otherwise."""
    s = Scenario()
    request = s.request(OPS, "submit", task_id="T", **FULL)
    older = {"request_digest": "of another form", "retry": None, "stall_s": None}
    draft = Draft(s.state, request, s.now, s.rules)
    draft.record_task("T", decide_submit(s, request).model_copy(update=older))
    s.state.apply(draft.decided())
    s.store(draft.records)

    assert s.when(OPS, "submit", task_id="T", **FULL).then().result["was"] == "known"
    for other in ({"title": "Other"}, {"retry": {"delay_s": 1.0}}, {"stall_s": 5.0}, {"on_stall": "requeue"}):
        with case(other):
            s.when(OPS, "submit", task_id="T", **(FULL | other)).refused("task_exists")


def decide_submit(s: Scenario, request: Request) -> Submitted:
    (recorded,) = s.decide(request).records
    assert isinstance(recorded.event, Submitted)
    return recorded.event


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Other"},
        {"payload": {"a": 1}},
        {"labels": []},
        {"deadline_s": 61.0},
        {"budgets": {"failures": 2}},
        {"lease": {"mode": "fixed"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_request_with_the_same_id_is_refused(change: dict[str, Any]) -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", **FULL)
    assert s.when(OPS, "submit", task_id="T", **(FULL | change)).refused("task_exists").details["task_id"] == "T"


def test_a_tasks_lease_fields_lie_over_the_pools() -> None:
    pool = LeasePolicy(mode=LeaseMode.FIXED, lease_s=50.0, max_renewals=4)
    s = Scenario(Rules(lease=pool))
    s.given(OPS, "submit", task_id="T1")
    s.given(OPS, "submit", task_id="T2", lease={"lease_s": 70.0})
    s.given(OPS, "submit", task_id="T3", lease={"mode": "adaptive"})

    assert s.task("T1").definition.lease == pool
    assert s.task("T2").definition.lease == pool.model_copy(update={"lease_s": 70.0})
    assert s.task("T3").definition.lease == pool.model_copy(update={"mode": LeaseMode.ADAPTIVE})


def test_lease_fields_that_do_not_agree_with_the_pools_are_invalid() -> None:
    s = Scenario(Rules(lease=LeasePolicy(mode=LeaseMode.ESTIMATED, min_hours=5.0)))
    refusal = s.when(OPS, "submit", task_id="T", lease={"max_hours": 2.0}).refused("invalid_command")
    message = "Value error, must be at least min_hours, 5"
    assert refusal.details["fields"] == [{"field": "lease.max_hours", "message": message}]


def test_a_task_may_have_its_own_phases_and_spell_out_a_default_against_the_pools() -> None:
    s = Scenario(Rules(lease=LeasePolicy(first_s=30.0, second_s=50.0)))
    s.holds("A", "T", lease={"first_s": 180.0})
    assert (s.lease("T").lease_s, s.task("T").definition.lease.second_s) == (180, 50)
    s.when(OPS, "submit", task_id="U", lease={"epic_factor": 9.0}).refused("invalid_command")
