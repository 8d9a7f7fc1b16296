"""Leases and hand-offs as a bare client sees them: stalls, deadlines, budgets, and one lease's work in a hand-off."""

from __future__ import annotations

import pytest

from tests.system.caller import Caller

pytestmark = pytest.mark.system

LONG = {"mode": "fixed", "lease_s": 3600.0}


async def test_who_is_heard_and_does_not_advance_is_stalled_once(ask: Caller) -> None:
    token = (await ask.lease(task_id="T1", lease=LONG, stall_s=0.2))["token"]
    held = {"task_id": "T1", "token": token}
    await ask.done("agent.a1.progress", held, percent=40)
    await ask.done("agent.a1.progress", held, percent=40)
    while not (await ask.task("T1"))["stalled"]:
        await ask.done("agent.a1.progress", held, percent=40)

    task = await ask.task("T1")

    assert (await ask.done("query.statistics"))["totals"]["stalled"] == 1
    assert (task["status"], task["stalled"], task["lease"]["stalled"]) == ("in_progress", True, True)
    assert (task["stall_s"], task["on_stall"]) == (0.2, "flag")
    (row,) = (await ask.done("query.leases"))["leases"]
    assert row["stalled"] is True
    assert (await ask.done("query.statistics"))["leases"]["stalled"] == 1
    await ask.done("agent.a1.progress", held, percent=41)
    assert (await ask.task("T1"))["stalled"] is False


async def test_with_on_stall_requeue_it_is_taken_from_its_holder(ask: Caller) -> None:
    token = (await ask.lease(task_id="T1", lease=LONG, stall_s=0.2, on_stall="requeue"))["token"]
    held = {"task_id": "T1", "token": token}
    for _ in range(2):
        await ask.done("agent.a1.progress", held, percent=40, checkpoint=[4])
    while (await ask.task("T1"))["lease"] is not None:
        pass
    task = await ask.task("T1")
    assert (task["status"], task["handoff"]["last_checkpoint"]) == ("queued", [4])
    assert task["former_leases"][-1]["ended"] == "revoked"
    stops = (await ask.done("agent.a1.heartbeat"))["directives"]
    assert [(each["task_id"], each["do"]) for each in stops] == [("T1", "stop")]


async def test_a_deadline_that_has_passed_is_refused_on_its_field(ask: Caller) -> None:
    refused = await ask.refused("ops.submit", "invalid_command", task_id="T1", deadline="2020-01-01T00:00:00Z")
    assert refused["fields"][0]["field"] == "deadline"


async def test_a_hand_off_is_of_one_lease_and_never_lower(ask: Caller) -> None:
    first = (await ask.lease(task_id="T1"))["token"]
    await ask.done("agent.a1.progress", task_id="T1", token=first, percent=60, message="sixty", checkpoint=6)
    await ask.done("ops.revoke", task_id="T1")
    late = {"task_id": "T1", "token": first, "percent": 20, "message": "late", "checkpoint": 2}
    await ask.refused("agent.a1.progress", "stale_token", **late)
    handoff = (await ask.task("T1"))["handoff"]
    assert (handoff["progress"], handoff["last_note"], handoff["last_checkpoint"]) == (60, "sixty", 6)
    assert (handoff["reported_by"], handoff["reported_token"]) == ("a1", first)

    await ask.refused("agent.a1.progress", "stale_token", **late | {"percent": 88})

    handoff = (await ask.task("T1"))["handoff"]
    assert (handoff["progress"], handoff["last_note"], handoff["last_checkpoint"]) == (88, "late", 2)
    assert "came to 88 %" in handoff["instructions"]


async def test_releases_have_a_budget_of_their_own(ask: Caller) -> None:
    token = (await ask.lease(task_id="T1", budgets={"attempts": 1, "releases": 2}))["token"]
    reply = await ask.ask("agent.a1.release", task_id="T1", token=token)
    assert reply.events == ["task.released", "task.requeued"]
    token = (await ask.done("agent.a1.claim"))["leases"][0]["token"]
    reply = await ask.ask("agent.a1.release", task_id="T1", token=token)
    assert reply.events == ["task.released", "task.quarantined"]
    await ask.done("ops.requeue", task_id="T1")
    task = await ask.task("T1")
    assert (task["releases"], task["attempts_used"], task["attempt"]) == (0, 1, 3)
