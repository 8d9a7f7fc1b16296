"""Who is granted what: claims, assignments, capacity, and the gates of pool and agents."""

from __future__ import annotations

from typing import Any

import pytest

from domain.commands.service_commands import MarkLost
from domain.events import task as ev
from domain.limits import MAX_CLAIM_REPLY_BYTES
from tests.support.scenario import OPS, Scenario, Step


def submit(s: Scenario, *task_ids: str, **definition: Any) -> None:
    for task_id in task_ids:
        s.given(OPS, "submit", task_id=task_id, **definition)


def ids(step: Step) -> list[str]:
    return [lease["task_id"] for lease in step.result["leases"]]


def test_a_claim_takes_the_most_urgent_then_the_oldest() -> None:
    s = Scenario()
    submit(s, "low", priority="low")
    submit(s, "first", "second")
    submit(s, "urgent", priority="urgent")
    submit(s, "high", priority="high")
    s.given("A", "register", capacity=9)

    assert ids(s.given("A", "claim", max=9)) == ["urgent", "high", "first", "second", "low"]


@pytest.mark.parametrize("end", ["expired", "released", "deregistered", "revoked", "unblocked", "requeued"])
def test_what_comes_back_keeps_its_place(end: str) -> None:
    s = Scenario()
    submit(s, "earlier")
    s.given("A", "register", capacity=9)
    s.given("A", "claim")
    submit(s, "T", budgets={"releases": 1 if end == "requeued" else 9})
    s.given("A", "claim")
    submit(s, "later", "latest")
    submit(s, "urgent", priority="high")
    token = s.token("T")
    match end:
        case "expired":
            s.given("A", "progress", task_id="earlier", token=s.token("earlier"), percent=1)
            s.sweep(at=241)
        case "deregistered":
            s.given("A", "deregister")
        case "revoked":
            s.given(OPS, "revoke", task_id="T")
        case "unblocked":
            s.given("A", "block", task_id="T", token=token, reason="no key")
            s.given(OPS, "unblock", task_id="T")
        case _:
            s.given("A", "release", task_id="T", token=token)
    if end == "requeued":
        s.given(OPS, "requeue", task_id="T")
    s.given("B", "register", capacity=9)
    granted = ids(s.given("B", "claim", max=9))
    assert [each for each in granted if each != "earlier"] == ["urgent", "T", "later", "latest"]


def test_a_claim_takes_only_what_the_agent_can_do() -> None:
    s = Scenario()
    submit(s, "both", required_capabilities=["gpu", "web"], priority="high")
    submit(s, "gpu", required_capabilities=["gpu"])
    submit(s, "any")
    s.given("A", "register", capacity=9, capabilities=["gpu"])
    assert ids(s.given("A", "claim", max=9)) == ["gpu", "any"]


def test_within_a_priority_an_agent_takes_first_what_the_fewest_agents_can_do() -> None:
    s = Scenario()
    for agent_id, has in (("G", ["gpu", "web"]), ("W", ["web"]), ("P", []), ("gone", ["gpu"]), ("paused", ["gpu"])):
        s.given(agent_id, "register", capacity=9, capabilities=has)
    s.asks(MarkLost("gone", 700.0))
    s.given(OPS, "pause", agent_id="paused")
    submit(s, "any", "any2")
    submit(s, "web", required_capabilities=["web"])
    submit(s, "gpu", required_capabilities=["gpu"])
    submit(s, "urgent", priority="high")
    assert ids(s.given("G", "claim", max=9)) == ["urgent", "gpu", "web", "any", "any2"]


def test_work_that_as_many_agents_can_do_goes_in_the_order_of_submission() -> None:
    s = Scenario()
    s.given("A", "register", capacity=9, capabilities=["gpu", "web"])
    submit(s, "any")
    submit(s, "gpu", required_capabilities=["gpu"])
    submit(s, "web", required_capabilities=["web"])
    assert ids(s.given("A", "claim", max=9)) == ["any", "gpu", "web"]
    for task_id in ("any", "gpu", "web"):
        s.given("A", "release", task_id=task_id, token=s.token(task_id))
    s.given("B", "register", capabilities=["gpu"])
    assert ids(s.given("A", "claim", max=9)) == ["web", "any", "gpu"]


def test_a_grant_names_its_own_position_as_its_token() -> None:
    s = Scenario()
    submit(s, "T1", "T2")
    s.given("A", "register", capacity=2)
    step = s.given("A", "claim", max=2).then("leased", "leased")
    assert [record.event.token for record in step.records if isinstance(record.event, ev.Leased)] == [
        record.position for record in step.records
    ]
    assert [lease["attempt"] for lease in step.result["leases"]] == [1, 1]


@pytest.mark.parametrize(
    ("capacity", "asked", "granted"), [(1, 5, 1), (5, 2, 2), (3, 3, 3)], ids=["room", "what is asked", "both"]
)
def test_a_claim_is_bounded(capacity: int, asked: int, granted: int) -> None:
    s = Scenario()
    submit(s, *(f"T{number}" for number in range(9)))
    s.given("A", "register", capacity=capacity)
    assert len(ids(s.given("A", "claim", max=asked))) == granted


def test_a_claim_stops_before_its_reply_grows_too_large() -> None:
    s = Scenario()
    payload = "x" * 60_000
    submit(s, *(f"T{number}" for number in range(20)), payload=payload)
    s.given("A", "register", capacity=20)
    granted = len(ids(s.given("A", "claim", max=20)))
    assert MAX_CLAIM_REPLY_BYTES / len(payload) <= granted < 12


def test_an_agent_that_is_full_gets_nothing_more() -> None:
    s = Scenario()
    s.holds("A", "T", capacity=1)
    details = s.when("A", "claim").refused("at_capacity").details
    assert (details["held"], details["capacity"]) == (1, 1)


def test_a_stuck_task_takes_up_room() -> None:
    s = Scenario()
    s.holds("A", "T", capacity=1, on_silence="stuck")
    s.sweep(at=1000).then("stuck")
    s.when("A", "claim").refused("at_capacity")


def test_an_empty_claim_grants_nothing_and_waits_if_it_was_told_to() -> None:
    s = Scenario()
    s.given("A", "register")
    assert not s.when("A", "claim").then().waits
    step = s.when("A", "claim", wait_s=5.0).then()
    assert (step.waits, step.result) == (True, {"leases": []})


def test_what_an_empty_claim_renews_is_not_its_outcome() -> None:
    s = Scenario()
    s.holds("A", "T")
    step = s.at(100).when("A", "claim", command_id="c1").then("renewed")
    assert not step.records[0].keyed


@pytest.mark.parametrize("gate", ["pause", "drain"])
@pytest.mark.parametrize("whose", [{}, {"agent_id": "A"}], ids=["the pool's", "an agent's"])
def test_a_closed_gate_stops_new_grants_and_nothing_else(gate: str, whose: dict[str, Any]) -> None:
    s = Scenario()
    token = s.holds("A", "T", capacity=9)
    submit(s, "T2")
    s.when(OPS, gate, **whose, reason="maintenance").then({"pause": "paused", "drain": "draining"}[gate])
    s.when(OPS, gate, **whose).then()

    s.when("A", "claim").refused("paused")
    s.when(OPS, "assign", task_id="T2", agent_id="A").refused("paused")
    s.given("A", "heartbeat")
    s.given("A", "progress", task_id="T", token=token, percent=1)
    s.given("A", "complete", task_id="T", token=token)

    s.when(OPS, "resume", **whose).then("resumed")
    s.when(OPS, "resume", **whose).then()
    s.when("A", "claim").then("leased")


def test_a_gate_may_go_from_paused_to_draining_and_back() -> None:
    s = Scenario()
    s.given("A", "register")
    for verb, event in (("pause", "paused"), ("drain", "draining"), ("pause", "paused"), ("resume", "resumed")):
        s.when(OPS, verb).then(event)
        s.when(OPS, verb, agent_id="A").then(event)


def test_the_gate_of_an_unknown_agent_is_refused() -> None:
    Scenario().when(OPS, "pause", agent_id="X").refused("unknown_agent")


def test_an_assignment_names_the_agent() -> None:
    s = Scenario()
    submit(s, "T")
    s.given("A", "register")
    step = s.when(OPS, "assign", task_id="T", agent_id="A").then("leased")
    assert (step.result["task_id"], step.result["token"]) == ("T", s.token("T"))
    assert s.lease("T").agent_id == "A"


def test_an_assignment_to_an_agent_that_cannot_do_it_is_invalid() -> None:
    s = Scenario()
    submit(s, "T", required_capabilities=["gpu", "web"])
    s.given("A", "register", capabilities=["web"])
    refusal = s.when(OPS, "assign", task_id="T", agent_id="A").refused("invalid_command")
    assert refusal.details["fields"][0]["field"] == "agent_id"


def test_an_assignment_to_a_lost_agent_is_refused_until_it_is_heard() -> None:
    s = Scenario()
    submit(s, "T")
    s.given("A", "register")
    s.asks(MarkLost("A", 700.0))
    s.when(OPS, "assign", task_id="T", agent_id="A").refused("paused")

    s.given("A", "heartbeat")
    s.when(OPS, "assign", task_id="T", agent_id="A").then("leased")


def test_an_assignment_to_a_full_agent_is_refused() -> None:
    s = Scenario()
    s.holds("A", "T", capacity=1)
    submit(s, "T2")
    s.when(OPS, "assign", task_id="T2", agent_id="A").refused("at_capacity")


def test_without_a_name_the_best_agent_is_taken() -> None:
    s = Scenario()
    s.holds("busy", "T0", capacity=9)
    s.given("idle", "register")
    s.given("able", "register", capabilities=["gpu"], capacity=1)
    submit(s, "T1", "T2", required_capabilities=["gpu"])
    submit(s, "T3", "T4", "T5")

    holders = []
    for task_id in ("T1", "T3", "T4", "T5"):
        s.given(OPS, "assign", task_id=task_id)
        holders.append(s.lease(task_id).agent_id)

    assert holders == ["able", "idle", "busy", "busy"]
    details = s.when(OPS, "assign", task_id="T2").refused("at_capacity").details
    assert details["required_capabilities"] == ["gpu"]


@pytest.mark.parametrize("delay_s", [0.0, 1.0], ids=["at once", "after its delay"])
@pytest.mark.parametrize("by", ["A", OPS], ids=["by its holder", "by an operator"])
def test_without_a_name_the_agent_that_failed_it_last_is_taken_only_if_no_other_can(by: str, delay_s: float) -> None:
    s = Scenario()
    s.given("A", "register", capacity=9)
    s.given("B", "register", capacity=9)
    s.holds("B", "U")
    submit(s, "T", retry={"delay_s": delay_s, "max_delay_s": delay_s})
    s.given(OPS, "assign", task_id="T").event(ev.Leased)
    assert s.lease("T").agent_id == "A", "it holds the fewest"
    token = {} if by == OPS else {"token": s.token("T")}
    s.given(by, "fail", task_id="T", error="no", retryable=True, **token)

    # Also when other agents are no longer preferred at a claim: what is chosen keeps no task waiting.
    s.wait(100).given(OPS, "assign", task_id="T")
    assert s.lease("T").agent_id == "B"

    s.given("B", "release", task_id="T", token=s.token("T"))
    s.given(OPS, "assign", task_id="T")
    assert s.lease("T").agent_id == "B", "a release of another one says nothing for the one that failed"

    s.given("B", "release", task_id="T", token=s.token("T"))
    s.given(OPS, "pause", agent_id="B")
    s.given(OPS, "assign", task_id="T")
    assert s.lease("T").agent_id == "A", "no other can"


def test_without_a_name_only_those_are_taken_that_were_heard_within_a_first_term() -> None:
    s = Scenario()
    s.given("dead", "register", capacity=9)
    s.given("alive", "register", capacity=9)
    submit(s, "T1", "T2", "T3")
    s.at(100).given("alive", "heartbeat")

    s.at(180).given(OPS, "assign", task_id="T1")
    s.at(180.5).given(OPS, "assign", task_id="T2")
    s.at(280.5).when(OPS, "assign", task_id="T3").refused("at_capacity")

    assert [s.lease(task_id).agent_id for task_id in ("T1", "T2")] == ["dead", "alive"]
    s.given(OPS, "assign", task_id="T3", agent_id="dead")


def test_without_a_name_a_closed_pool_refuses() -> None:
    s = Scenario()
    s.given("A", "register")
    submit(s, "T")
    s.given(OPS, "drain")
    assert s.when(OPS, "assign", task_id="T").refused("paused").details == {"pool": "draining"}


def test_without_a_name_a_paused_agent_is_passed_over() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given("B", "register")
    s.given(OPS, "pause", agent_id="A")
    submit(s, "T")
    s.given(OPS, "assign", task_id="T")
    assert s.lease("T").agent_id == "B"
