"""What operators may ask for, each verb with each of its fields, as another program would ask."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.broker import Connect
from tests.system.caller import Caller
from tests.system.streams import moment, read_log

pytestmark = pytest.mark.system

EVERYTHING: dict[str, Any] = {
    "task_id": "T-1_a",
    "title": "Grüße",
    "payload": {"n": [1, 2.5, None, True], "s": "☃"},
    "priority": "high",
    "labels": ["simple", "b"],
    "required_capabilities": ["gpu"],
    "estimated_hours": 1.5,
    "deadline": "2999-01-02T03:04:05+01:00",
    "lease": {
        "mode": "estimated",
        "default_hours": 2.0,
        "min_hours": 0.5,
        "max_hours": 8.0,
        "renewal_decay": 0.5,
        "grace_s": 30,
        "max_renewals": 4,
        "max_lease_s": 7200,
        "silence_multiplier": 2,
    },
    "on_silence": "stuck",
    "budgets": {"failures": 1, "expiries": 2, "steals": 0, "attempts": 4, "releases": 5},
}


async def test_submit_takes_every_field_and_the_task_shows_it(ask: Caller) -> None:
    reply = await ask.ask("ops.submit", EVERYTHING)
    assert reply.result == {"task_id": "T-1_a", "was": "new"}
    assert reply.events == ["task.submitted"]
    assert reply.body["events"][-1]["position"] == reply.position
    task = await ask.task("T-1_a")
    same = {"task_id", "title", "payload", "priority", "labels", "required_capabilities", "estimated_hours"}
    same |= {"on_silence", "budgets"}
    assert {name: task[name] for name in same} == {name: EVERYTHING[name] for name in same}
    assert task["deadline"] == "2999-01-02T02:04:05.000000Z"
    assert (task["status"], task["attempt"], task["position"]) == ("queued", 1, reply.position)
    assert EVERYTHING["lease"].items() <= task["lease_policy"].items()


async def test_submit_needs_nothing_and_makes_an_id(ask: Caller) -> None:
    made = [(await ask.ask("ops.submit", body)).result["task_id"] for body in (b"", b"{}", b" {\n} ")]
    assert len(set(made)) == 3
    task = await ask.task(made[0])
    assert task["budgets"] == {"failures": 3, "expiries": 3, "steals": 3, "attempts": 10, "releases": 10}
    assert (task["priority"], task["on_silence"], task["lease_policy"]["mode"]) == ("medium", "requeue", "adaptive")
    assert (task["lease_policy"]["max_renewals"], task["lease_policy"]["silence_multiplier"]) == (10, 5.0)
    assert task["lease_policy"]["max_lease_s"] == 86_400


async def test_urgent_means_critical(ask: Caller) -> None:
    await ask.done("ops.submit", task_id="T1", priority="urgent")
    assert (await ask.task("T1"))["priority"] == "critical"


async def test_a_deadline_in_seconds_counts_from_the_submit(ask: Caller) -> None:
    await ask.done("ops.submit", task_id="T1", deadline_s=90.5)
    task = await ask.task("T1")
    assert moment(task["deadline"]) - moment(task["submitted_at"]) == timedelta(seconds=90.5)


@pytest.mark.parametrize(
    ("lease", "lease_s", "grace_s"),
    [
        ({}, 180, 60),
        ({"mode": "adaptive"}, 180, 60),
        ({"mode": "fixed"}, 240, 60),
        ({"mode": "fixed", "lease_s": 7.5, "grace_s": 0}, 7.5, 0),
        ({"mode": "estimated"}, 7200, 1800),
        ({"mode": "estimated", "default_hours": 3, "grace_s": 5}, 10_800, 5),
        ({"mode": "estimated", "max_lease_s": 60}, 60, 1800),
    ],
)
async def test_a_task_brings_its_own_lease_rules(
    ask: Caller, lease: dict[str, object], lease_s: float, grace_s: float
) -> None:
    before = datetime.now(UTC)
    granted = await ask.lease(task_id="T1", lease=lease)
    assert granted["grace_s"] == grace_s
    assert before <= moment(granted["expires_at"]) - timedelta(seconds=lease_s) <= datetime.now(UTC)


async def test_assign_names_an_agent_or_finds_the_best(ask: Caller) -> None:
    await ask.done("agent.a1.register", capabilities=["x"], capacity=2)
    await ask.done("agent.a2.register", capabilities=["x", "gpu"])
    for task_id, required in (("T1", ["gpu"]), ("T2", []), ("T3", [])):
        await ask.done("ops.submit", task_id=task_id, required_capabilities=required, payload=task_id)
    assert (await ask.refused("ops.assign", "invalid_command", task_id="T1", agent_id="a1"))["fields"]
    lease = await ask.done("ops.assign", task_id="T1")
    assert (lease["task_id"], lease["payload"], lease["attempt"]) == ("T1", "T1", 1)
    assert (await ask.task("T1"))["agent_id"] == "a2"
    await ask.done("ops.assign", task_id="T2", agent_id="a1")
    assert (await ask.task("T2"))["agent_id"] == "a1"
    await ask.refused("ops.assign", "illegal_transition", task_id="T2")
    await ask.refused("ops.assign", "at_capacity", task_id="T3", agent_id="a2")
    await ask.refused("ops.assign", "unknown_agent", task_id="T3", agent_id="nobody")
    await ask.done("ops.assign", task_id="T3")
    await ask.done("ops.submit", task_id="T4")
    await ask.refused("ops.assign", "at_capacity", task_id="T4")


@pytest.mark.parametrize("verb", ["cancel", "revoke"])
async def test_an_operator_takes_a_held_task_away_for_a_reason(ask: Caller, verb: str) -> None:
    lease = await ask.lease(task_id="T1")
    reply = await ask.ask(f"ops.{verb}", task_id="T1", reason="wrong branch")
    assert reply.ok
    held = await ask.done("agent.a1.heartbeat")
    assert held["leases"] == []
    assert held["directives"] == [{"task_id": "T1", "do": "stop", "reason": "wrong branch"}]
    again = await ask.done("agent.a1.register", capacity=100)
    assert again["directives"] == held["directives"], "a directive repeats"
    await ask.ask("agent.a1.start", task_id="T1", token=lease["token"])
    assert (await ask.done("agent.a1.heartbeat"))["directives"] == [], "until the next command on that task"
    task = await ask.task("T1")
    if verb == "cancel":
        assert (task["status"], task["outcome"]["detail"]) == ("cancelled", "wrong branch")
        assert reply.events == ["task.cancelled"]
    else:
        assert (task["status"], task["attempt"], task["handoff"]["from_agent"]) == ("queued", 2, "a1")
        assert reply.events == ["task.revoked", "task.requeued"]


async def test_a_blocked_task_waits_for_unblock(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1")
    await ask.refused("ops.unblock", "illegal_transition", task_id="T1")
    await ask.done("agent.a1.block", task_id="T1", token=lease["token"], reason="no access")
    assert (await ask.done("agent.a1.claim"))["leases"] == []
    reply = await ask.ask("ops.unblock", task_id="T1", reason="granted")
    assert reply.events == ["task.unblocked", "task.requeued"]
    assert (await ask.done("agent.a1.claim"))["leases"][0]["attempt"] == 2


async def test_a_quarantined_task_waits_for_requeue(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1", budgets={"releases": 1})
    await ask.refused("ops.requeue", "illegal_transition", task_id="T1")
    reply = await ask.ask("agent.a1.release", task_id="T1", token=lease["token"])
    assert reply.events == ["task.released", "task.quarantined"]
    reply = await ask.ask("ops.requeue", task_id="T1", reason="looked at it")
    assert reply.events == ["task.requeued"]
    assert (await ask.task("T1"))["status"] == "queued"


async def test_steal_moves_named_tasks_or_a_number(ask: Caller) -> None:
    await ask.done("agent.a1.register", capacity=9)
    await ask.done("agent.a2.register", capacity=3)
    for number in range(5):
        await ask.done("ops.submit", task_id=f"T{number}")
    tokens = {lease["task_id"]: lease["token"] for lease in (await ask.done("agent.a1.claim", max=5))["leases"]}
    await ask.done("agent.a1.start", task_id="T4", token=tokens["T4"])
    reply = await ask.ask("ops.steal", {"from": "a1", "to": "a2", "task_ids": ["T1"], "reason": "balance"})
    assert reply.events == ["steal.planned", "steal.executing", "task.stolen", "steal.completed"]
    assert reply.result["task_ids"] == ["T1"]
    counted = await ask.done("ops.steal", {"from": "a1", "to": "a2", "count": 2})
    assert counted["task_ids"] == ["T3", "T2"], "the latest assigned first, nothing that was started"
    await ask.refused("ops.steal", "at_capacity", {"from": "a1", "to": "a2", "count": 1})
    await ask.refused("ops.steal", "illegal_transition", {"from": "a1", "to": "a2", "task_ids": ["T4"]})
    held = (await ask.done("agent.a2.heartbeat"))["leases"]
    assert {each["task_id"] for each in held} == {"T1", "T2", "T3"}
    assert all(each["token"] > tokens[each["task_id"]] for each in held), "a new token"
    assert {each["do"] for each in (await ask.done("agent.a1.heartbeat"))["directives"]} == {"stop"}
    steals = (await ask.done("query.steals"))["steals"]
    assert {each["operation_id"] for each in steals} >= {reply.result["operation_id"], counted["operation_id"]}


async def test_what_a_draining_agent_has_not_started_may_be_moved(ask: Caller) -> None:
    await ask.done("agent.a1.register", capacity=5)
    await ask.done("agent.a2.register", capacity=5)
    for number in range(3):
        await ask.done("ops.submit", task_id=f"T{number}")
    leases = (await ask.done("agent.a1.claim", max=3))["leases"]
    await ask.done("agent.a1.start", task_id="T0", token=leases[0]["token"])
    await ask.done("ops.drain", agent_id="a1")
    assert (await ask.done("ops.steal", {"from": "a1", "to": "a2", "count": 5}))["task_ids"] == ["T2", "T1"]
    await ask.refused("ops.steal", "paused", {"from": "a2", "to": "a1", "count": 1})
    asked = (await ask.done("agent.a1.heartbeat"))["directives"]
    assert {each["task_id"]: each["do"] for each in asked} == {"T0": "hand_over", "T1": "stop", "T2": "stop"}


@pytest.mark.parametrize("verb", ["drain", "pause"])
async def test_a_closed_gate_stops_new_grants_only(ask: Caller, verb: str) -> None:
    lease = await ask.lease(task_id="T1")
    await ask.done("ops.submit", task_id="T2")
    await ask.done(f"ops.{verb}", reason="maintenance")
    await ask.refused("agent.a1.claim", "paused")
    await ask.refused("ops.assign", "paused", task_id="T2")
    report = await ask.done("agent.a1.progress", task_id="T1", token=lease["token"], percent=10)
    assert report["directive"] == "continue"
    await ask.done("ops.submit", task_id="T3")
    await ask.done("ops.resume")
    assert (await ask.done("agent.a1.claim"))["leases"]


@pytest.mark.parametrize(("verb", "directive"), [("drain", "hand_over"), ("pause", "continue")])
async def test_one_agent_may_be_drained_or_paused(ask: Caller, verb: str, directive: str) -> None:
    lease = await ask.lease(task_id="T1")
    await ask.done("agent.a2.register")
    await ask.done("ops.submit", task_id="T2")
    reply = await ask.ask(f"ops.{verb}", agent_id="a1")
    assert reply.events == [f"agent.{verb}{'ing' if verb == 'drain' else 'd'}"]
    assert (await ask.ask(f"ops.{verb}", agent_id="a1")).events == []
    await ask.refused("agent.a1.claim", "paused")
    await ask.refused("ops.assign", "paused", task_id="T2", agent_id="a1")
    report = await ask.done("agent.a1.progress", task_id="T1", token=lease["token"], percent=10)
    assert report["directive"] == directive
    asked = (await ask.done("agent.a1.heartbeat"))["directives"]
    assert [(each["task_id"], each["do"]) for each in asked] == ([("T1", "hand_over")] if verb == "drain" else [])
    assert (await ask.done("agent.a2.claim"))["leases"]
    await ask.done("ops.resume", agent_id="a1")
    await ask.done("agent.a1.claim")
    await ask.refused(f"ops.{verb}", "unknown_agent", agent_id="nobody")


async def test_operators_name_themselves_in_a_header(ask: Caller, connect: Connect, pool: str) -> None:
    await ask.done("ops.submit", task_id="T1")
    await ask.done("ops.submit", task_id="T2", actor="ann")
    await ask.lease(task_id="T3", actor="CI bot/7")
    await ask.refused("ops.submit", "invalid_command", actor="x" * 129)
    await ask.refused("ops.submit", "invalid_command", actor="Zoë")
    log = await read_log(await connect(), pool)
    actors = {event.entity_id: event.body["actor"] for event in log if event.name == "task.submitted"}
    assert actors == {"T1": "ops", "T2": "ops/ann", "T3": "ops/CI bot/7"}
    assert [event.body["actor"] for event in log if event.name == "task.leased"] == ["agent/a1"]
