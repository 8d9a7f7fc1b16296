"""Each error of the contract: its code, its number, its headers (checked by the client), its details."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.broker import Connect
from tests.system.caller import Caller
from tests.system.conftest import Serve
from tests.system.streams import Feed, happened, last_position, read_log

pytestmark = pytest.mark.system

ON_TASK: dict[str, dict[str, object]] = {
    "lease": {},
    "start": {},
    "progress": {"percent": 1},
    "silence": {"for_s": 1, "reason": "x"},
    "release": {},
    "block": {"reason": "x"},
    "complete": {},
    "fail": {"error": "x"},
}
"""The holder's commands, with what they need besides the task and the token."""
EXPIRING = {"mode": "fixed", "lease_s": 0.2, "grace_s": 0.1}


@pytest.fixture
async def unmoved(ask: Caller, connect: Connect, pool: str) -> Callable[[], Awaitable[None]]:
    """Checks that nothing has happened since the test began."""
    nc = await connect()
    at = await last_position(nc, pool)

    async def check() -> None:
        assert await happened(nc, pool, after=at) == []

    return check


async def test_an_agent_must_register_before_anything_else(ask: Caller, unmoved: Callable[[], Awaitable[None]]) -> None:
    for verb in ("heartbeat", "claim", "deregister"):
        assert await ask.refused(f"agent.a1.{verb}", "unknown_agent") == {"agent_id": "a1"}
    for verb, fields in ON_TASK.items():
        details = await ask.refused(f"agent.a1.{verb}", "unknown_agent", fields, task_id="T1", token=1)
        assert details == {"agent_id": "a1"}
    for verb in ("drain", "pause", "resume"):
        await ask.refused(f"ops.{verb}", "unknown_agent", agent_id="a1")
    await ask.refused("ops.steal", "unknown_agent", {"from": "a1", "to": "a2"})
    await unmoved()


async def test_a_task_must_be_known(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    for verb, fields in ON_TASK.items():
        details = await ask.refused(f"agent.a1.{verb}", "unknown_task", fields, task_id="T1", token=1)
        assert details == {"task_id": "T1"}
    for verb in ("assign", "cancel", "requeue", "unblock", "revoke"):
        assert await ask.refused(f"ops.{verb}", "unknown_task", task_id="T1") == {"task_id": "T1"}
    assert await ask.refused("query.task", "unknown_task", task_id="T1") == {"task_id": "T1"}
    await ask.done("agent.a2.register")
    await ask.refused("ops.steal", "unknown_task", {"from": "a1", "to": "a2", "task_ids": ["T1"]})


async def test_a_known_id_with_another_definition(ask: Caller) -> None:
    definition = {"task_id": "T1", "title": "x", "payload": {"b": 1, "a": [2]}}
    await ask.done("ops.submit", definition)
    same = await ask.ask("ops.submit", {**dict(reversed(definition.items())), "command_id": "c2"})
    assert (same.events, same.result) == ([], {"task_id": "T1", "was": "known"}), (
        "the same one is an idempotent success"
    )
    details = await ask.refused("ops.submit", "task_exists", {**definition, "title": "y"})
    assert details["task_id"] == "T1"
    spelled_out = await ask.done("ops.submit", {**definition, "priority": "medium"})
    assert spelled_out["was"] == "known", "a default that is spelled out makes no other definition"
    await ask.done("ops.cancel", task_id="T1")
    await ask.refused("ops.submit", "task_exists", task_id="T1")
    again = await ask.ask("ops.submit", definition)
    assert (again.events, again.result["was"]) == ([], "ended"), "also when it finished long ago"


@pytest.mark.parametrize("ending", ["completed", "failed", "cancelled"])
async def test_a_finished_task_says_how_it_ended(ask: Caller, ending: str) -> None:
    lease = await ask.lease(task_id="T1")
    held = {"task_id": "T1", "token": lease["token"]}
    match ending:
        case "completed":
            await ask.done("agent.a1.complete", held)
        case "failed":
            await ask.done("agent.a1.fail", held, error="E", retryable=False)
        case _:
            await ask.done("ops.cancel", task_id="T1", reason="R")
    for verb in ("assign", "cancel", "requeue", "unblock", "revoke"):
        details = await ask.refused(f"ops.{verb}", "task_finished", task_id="T1")
        assert (details["task_id"], details["status"]) == ("T1", ending)
        assert details.keys() >= {"ended_at", "by", "token"}
    for verb, fields in ON_TASK.items():
        assert (await ask.refused(f"agent.a1.{verb}", "task_finished", fields, **held))["status"] == ending
    assert (await ask.task("T1"))["status"] == ending


async def test_a_token_of_the_past_or_the_future_is_stale(ask: Caller, unmoved: Callable[[], Awaitable[None]]) -> None:
    lease = await ask.lease(task_id="T1")
    await ask.done("agent.a1.release", task_id="T1", token=lease["token"])
    await ask.done("agent.a2.register")
    current = (await ask.done("agent.a2.claim"))["leases"][0]["token"]
    for token in (1, lease["token"], current + 1, 2**63 - 1):
        for verb, fields in ON_TASK.items():
            details = await ask.refused(f"agent.a1.{verb}", "stale_token", fields, task_id="T1", token=token)
            assert (details["status"], details["holder"]) == ("assigned", "a2")


async def test_a_current_token_serves_its_holder_only(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1")
    await ask.done("agent.a2.register")
    for verb, fields in ON_TASK.items():
        details = await ask.refused(f"agent.a2.{verb}", "not_holder", fields, task_id="T1", token=lease["token"])
        assert details["holder"] == "a1"


async def test_an_illegal_transition_names_state_event_and_what_is_allowed(ask: Caller) -> None:
    await ask.done("ops.submit", task_id="T1")
    for verb, event in {"unblock": "unblocked", "revoke": "revoked", "requeue": "requeued"}.items():
        details = await ask.refused(f"ops.{verb}", "illegal_transition", task_id="T1")
        assert (details["state"], details["event"]) == ("queued", event)
        assert {"leased", "cancelled"} <= set(details["allowed"])
        assert event not in details["allowed"]


async def test_errors_are_looked_for_in_the_order_of_the_table(ask: Caller) -> None:
    await ask.refused("agent.a1.progress", "invalid_command", task_id="T1", token=1)
    await ask.refused("agent.a1.progress", "unknown_agent", task_id="T1", token=1, percent=1)
    lease = await ask.lease(task_id="T1")
    await ask.done("agent.a2.register")
    await ask.refused("agent.a2.complete", "unknown_task", task_id="T2", token=lease["token"])
    await ask.done("ops.pause", agent_id="a2")
    await ask.refused("ops.assign", "illegal_transition", task_id="T1", agent_id="a2")
    await ask.done("agent.a1.register", capacity=1)
    await ask.done("ops.pause", agent_id="a1")
    await ask.refused("agent.a1.claim", "paused")
    await ask.done("agent.a1.complete", task_id="T1", token=lease["token"])
    await ask.refused("ops.assign", "task_finished", task_id="T1", agent_id="a2")
    await ask.refused("ops.assign", "unknown_agent", task_id="T1", agent_id="a3")


async def test_a_full_queue_is_overloaded(serve: Serve, connect: Connect, pool: str) -> None:
    await serve(queue_length=4)
    ask = Caller(await connect(), pool)
    replies = await asyncio.gather(*(ask.ask("ops.submit", task_id=f"T{number}") for number in range(300)))
    codes = {reply.code for reply in replies if not reply.ok}
    assert codes == {"overloaded"}
    taken = [reply.result["task_id"] for reply in replies if reply.ok]
    live = [task["task_id"] for task in (await ask.done("query.tasks", limit=1000))["tasks"]]
    assert sorted(taken) == live, "a refused command appends nothing"


async def test_late_reports_are_kept_ten_times_and_refused_every_time(ask: Caller, connect: Connect, pool: str) -> None:
    async with Feed(await connect(), pool) as feed:
        lease = await ask.lease(task_id="T1", lease=EXPIRING)
        await feed.until("task.expired")
        held = {"task_id": "T1", "token": lease["token"]}
        await ask.refused("agent.a1.progress", "stale_token", held, percent=70, message="late", checkpoint=[1])
        kept = await feed.until("task.late_progress")
        assert kept.data.items() >= {"token": lease["token"], "percent": 70, "message": "late"}.items()
        assert (kept.data["kind"], kept.body["actor"]) == ("progress", "agent/a1")
        for _ in range(11):
            await ask.refused("agent.a1.progress", "stale_token", held, percent=71)
        task = await ask.task("T1")
        assert task["former_leases"][0]["late_reports"] == 10
        assert sum(event.name == "task.late_progress" for event in await read_log(feed.nc, pool)) == 10
        assert task["handoff"]["progress"] == 71, "the higher progress is handed on"
        assert (task["status"], task["attempt"]) == ("queued", 2)


async def test_a_late_completion_counts_until_the_task_is_granted_again(
    ask: Caller, connect: Connect, pool: str
) -> None:
    async with Feed(await connect(), pool) as feed:
        await ask.done("agent.a1.register", capacity=2)
        first = await ask.assigned("a1", task_id="T1", lease=EXPIRING)
        second = await ask.assigned("a1", task_id="T2", lease=EXPIRING)
        await feed.until("task.requeued", "T1")
        await feed.until("task.requeued", "T2")
        reply = await ask.ask("agent.a1.complete", task_id="T1", token=first["token"], result=1)
        assert reply.events == ["task.completed"]
        await ask.done("agent.a2.register")
        assert (await ask.done("agent.a2.claim"))["leases"][0]["task_id"] == "T2"
        await ask.refused("agent.a1.complete", "stale_token", task_id="T2", token=second["token"], result=2)
        kept = await feed.until("task.late_progress", "T2")
        assert (kept.data["kind"], kept.data["result"]) == ("completion", 2)


@pytest.mark.parametrize("ending", ["release", "revoke", "block"])
async def test_what_was_given_up_or_taken_cannot_be_completed_late(ask: Caller, ending: str) -> None:
    held = {"task_id": "T1", "token": (await ask.lease(task_id="T1"))["token"]}
    match ending:
        case "release":
            await ask.done("agent.a1.release", held)
        case "block":
            await ask.done("agent.a1.block", held, reason="x")
        case _:
            await ask.done("ops.revoke", task_id="T1")
    await ask.refused("agent.a1.complete", "stale_token", held)
