"""The lifecycle table over the wire: every command on a task in every status, and what becomes of it."""

import asyncio
import re
from typing import Any

import pytest

from tests.support.broker import Connect
from tests.system.caller import Caller
from tests.system.streams import Feed, read_log

pytestmark = pytest.mark.system

HELD = ("lease", "start", "progress", "silence", "release", "block", "complete", "fail", "give_up")
OPS = ("assign", "cancel", "requeue", "unblock", "revoke", "steal")
FIELDS: dict[str, dict[str, Any]] = {
    "progress": {"percent": 50},
    "silence": {"for_s": 1, "reason": "r"},
    "block": {"reason": "r"},
    "fail": {"error": "E"},
    "give_up": {"error": "E", "retryable": False},
}
STATUSES = ("queued", "assigned", "in_progress", "stuck", "blocked", "quarantined", "completed", "failed", "cancelled")
ENDED = dict.fromkeys((*HELD, *OPS), "task_finished")
GONE = dict.fromkeys(HELD, "stale_token")
NO = "illegal_transition"

# What each command comes to: the events it appends, then the status it leaves; or the code of its refusal.
TABLE: dict[str, dict[str, str]] = {
    "queued": {
        **GONE,
        "assign": "leased -> assigned",
        "cancel": "cancelled -> cancelled",
        "requeue": NO,
        "unblock": NO,
        "revoke": NO,
        "steal": NO,
    },
    "assigned": {
        "lease": "-> assigned",
        "start": "started -> in_progress",
        "progress": "progressed -> in_progress",
        "silence": "silenced -> assigned",
        "release": "released requeued -> queued",
        "block": "blocked -> blocked",
        "complete": "completed -> completed",
        "fail": "requeued -> queued",
        "give_up": "failed -> failed",
        "cancel": "cancelled -> cancelled",
        "revoke": "revoked requeued -> queued",
        "steal": "planned executing stolen completed -> assigned",
        "assign": NO,
        "requeue": NO,
        "unblock": NO,
    },
    "in_progress": {
        "lease": "-> in_progress",
        "start": "-> in_progress",
        "progress": "progressed -> in_progress",
        "silence": "silenced -> in_progress",
        "release": "released requeued -> queued",
        "block": "blocked -> blocked",
        "complete": "completed -> completed",
        "fail": "requeued -> queued",
        "give_up": "failed -> failed",
        "cancel": "cancelled -> cancelled",
        "revoke": "revoked requeued -> queued",
        "assign": NO,
        "requeue": NO,
        "unblock": NO,
        "steal": NO,
    },
    "stuck": {
        "lease": "recovered -> in_progress",
        "start": "recovered -> in_progress",
        "progress": "recovered progressed -> in_progress",
        "silence": "recovered silenced -> in_progress",
        "release": "released requeued -> queued",
        "block": "blocked -> blocked",
        "complete": "completed -> completed",
        "fail": "requeued -> queued",
        "give_up": "failed -> failed",
        "cancel": "cancelled -> cancelled",
        "requeue": "revoked requeued -> queued",
        "revoke": "revoked requeued -> queued",
        "assign": NO,
        "unblock": NO,
        "steal": NO,
    },
    "blocked": {
        **GONE,
        "cancel": "cancelled -> cancelled",
        "unblock": "unblocked requeued -> queued",
        "assign": NO,
        "requeue": NO,
        "revoke": NO,
        "steal": NO,
    },
    "quarantined": {
        **GONE,
        "cancel": "cancelled -> cancelled",
        "requeue": "requeued -> queued",
        "assign": NO,
        "unblock": NO,
        "revoke": NO,
        "steal": NO,
    },
    "completed": ENDED,
    "failed": ENDED,
    "cancelled": ENDED,
}


async def in_status(ask: Caller, feed: Feed, task_id: str, status: str) -> int:
    """Bring a new task to a status; return the last token it was held under."""
    definition: dict[str, Any] = {"task_id": task_id}
    if status == "stuck":
        definition |= {"on_silence": "stuck", "lease": {"mode": "fixed", "lease_s": 0.1, "grace_s": 0.1}}
    if status == "quarantined":
        definition["budgets"] = {"releases": 1}
    token: int = (await ask.assigned("a1", **definition))["token"]
    held = {"task_id": task_id, "token": token}
    match status:
        case "queued" | "quarantined":
            await ask.done("agent.a1.release", held)
        case "in_progress":
            await ask.done("agent.a1.start", held)
        case "stuck":
            # Where it is stuck before the agent begins, that brings it back, and it gets stuck again.
            begun = (await ask.ask("agent.a1.start", held)).position
            await feed.until("task.stuck", task_id, fits=lambda event: event.position > begun)
        case "blocked":
            await ask.done("agent.a1.block", held, reason="r")
        case "completed":
            await ask.done("agent.a1.complete", held)
        case "failed":
            await ask.done("agent.a1.fail", held, error="E", retryable=False)
        case "cancelled":
            await ask.done("ops.cancel", task_id=task_id)
    assert (await ask.task(task_id))["status"] == status
    return token


async def comes_to(ask: Caller, task_id: str, token: int, verb: str) -> str:
    """Ask, and tell the outcome as the table has it."""
    fields: dict[str, Any] = {"task_id": task_id}
    if verb in HELD:
        name = {"give_up": "fail"}.get(verb, verb)
        reply = await ask.ask(f"agent.a1.{name}", {**fields, "token": token, **FIELDS.get(verb, {})})
    elif verb == "steal":
        reply = await ask.ask("ops.steal", {"from": "a1", "to": "a2", "task_ids": [task_id]})
    else:
        reply = await ask.ask(f"ops.{verb}", {**fields, **({"agent_id": "a2"} if verb == "assign" else {})})
    if not reply.ok:
        return reply.code
    events = [name.partition(".")[2] for name in reply.events if name != "task.renewed"]
    return " ".join((*events, "->", (await ask.task(task_id))["status"]))


@pytest.mark.parametrize("status", STATUSES)
async def test_every_command_on_a_task_in_every_status(ask: Caller, connect: Connect, pool: str, status: str) -> None:
    await ask.done("agent.a1.register", capacity=100)
    await ask.done("agent.a2.register", capacity=100)
    verbs = (*HELD, *OPS)
    async with Feed(await connect(), pool) as feed:
        tokens = await asyncio.gather(*(in_status(ask, feed, f"{status}-{verb}", status) for verb in verbs))
        found = {
            verb: await comes_to(ask, f"{status}-{verb}", token, verb)
            for verb, token in zip(verbs, tokens, strict=True)
        }
    assert found == TABLE[status]
    await check_ranks(ask)


async def check_ranks(ask: Caller) -> None:
    """(attempt, rank) never falls, and what is terminal is so for ever; told from the events alone."""
    attempts: dict[str, int] = {}
    ranks: dict[str, int] = {}
    for event in await read_log(ask.nc, ask.pool):
        kind, _, name = event.name.partition(".")
        if kind != "task" or name == "late_progress":
            continue
        task_id = event.entity_id
        assert ranks.get(task_id) != 4, f"{task_id} had ended, and {name} happened"
        rank = {
            "submitted": 0,
            "leased": 1,
            "stolen": 1,
            "requeued": 0,
            "started": 2,
            "progressed": 2,
            "stuck": 2,
            "recovered": 2,
            "blocked": 3,
            "quarantined": 3,
            "completed": 4,
            "failed": 4,
            "cancelled": 4,
        }.get(name, ranks.get(task_id, 0))
        attempt = event.data.get("attempt", attempts.get(task_id, 1))
        assert (attempt, rank) >= (attempts.get(task_id, 1), ranks.get(task_id, 0)), f"{task_id} fell at {name}"
        if name in {"requeued", "stolen"}:
            assert attempt == attempts.get(task_id, 1) + 1
        attempts[task_id], ranks[task_id] = attempt, rank


async def test_a_token_is_the_position_of_its_grant(ask: Caller, connect: Connect, pool: str) -> None:
    async with Feed(await connect(), pool) as feed:
        tokens = []
        lease = await ask.lease(task_id="T1")
        for _ in range(3):
            tokens.append(lease["token"])
            await ask.done("agent.a1.release", task_id="T1", token=lease["token"])
            lease = (await ask.done("agent.a1.claim"))["leases"][0]
        granted = [event.position for event in feed.seen if event.name == "task.leased"]
        assert tokens == granted[:3] == sorted(set(tokens))
        assert re.fullmatch(r"\d+", str(lease["token"]))
