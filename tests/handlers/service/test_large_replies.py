"""No reply exceeds 1 MiB: claims stop granting, queries page, directives come in portions."""

from __future__ import annotations

import pytest

from domain import limits
from tests.support.pool_harness import PoolHarness

EMOJI = "\U0001f40c"
PAYLOADS: dict[str, object] = {
    "four bytes a character": EMOJI * 16_000,
    "two bytes a character": "é" * 32_000,
    "escaped characters": "\x01" * 10_000,
    "brackets": [[[]]] * 9_000,
}


async def test_a_claim_of_many_large_payloads_stops_at_half_a_mebibyte(pool: PoolHarness) -> None:
    await pool.register("a", capacity=100)
    await pool.submit(*(f"T{number:02}" for number in range(30)), payload="x" * 65_000)
    first = await pool.request("agent.a.claim", {"max": 100, "command_id": "same"})
    assert len(first.result["leases"]) == 9
    assert limits.MAX_CLAIM_REPLY_BYTES <= len(first.raw) < limits.MAX_CLAIM_REPLY_BYTES + 70_000
    assert (await pool.request("agent.a.claim", {"max": 100, "command_id": "same"})).raw == first.raw
    rest = [len((await pool.given("agent.a.claim", max=100))["leases"]) for _ in range(3)]
    assert rest == [9, 9, 3]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
async def test_payloads_of_all_kinds_are_counted_as_they_are_sent(pool: PoolHarness, payload: object) -> None:
    await pool.register("a", capacity=100)
    await pool.submit(*(f"T{number:02}" for number in range(20)), payload=payload)
    reply = await pool.request("agent.a.claim", {"max": 100})
    assert len(reply.raw) < limits.MAX_CLAIM_REPLY_BYTES + 140_000
    assert (await pool.request("query.task", {"task_id": "T00"})).result["payload"] == payload


async def test_a_claim_with_hand_offs_full_of_checkpoints(pool: PoolHarness) -> None:
    await pool.register("a", capacity=100)
    for number in range(12):
        token = await pool.holds("a", f"T{number}", payload="x" * 65_000)
        body = {"task_id": f"T{number}", "token": token, "checkpoint": "y" * 65_000}
        await pool.given("agent.a.release", **body)
    reply = await pool.request("agent.a.claim", {"max": 100})
    assert len(reply.result["leases"]) == 5
    assert len(reply.raw) < limits.MAX_REPLY_BYTES


async def test_a_task_with_every_document_at_its_limit(pool: PoolHarness) -> None:
    text = EMOJI * 1000
    token = await pool.holds("a", "T", payload=EMOJI * 16_000, title=EMOJI * 256, labels=["é" * 64] * 32)
    report = {"percent": 1, "message": text, "checkpoint": EMOJI * 16_000}
    await pool.given("agent.a.progress", task_id="T", token=token, **report)
    await pool.given("agent.a.release", task_id="T", token=token, reason=EMOJI * 1024)
    token = await pool.assign("a", "T")
    await pool.given("agent.a.progress", task_id="T", token=token, **report)
    await pool.given("agent.a.complete", task_id="T", token=token, result=EMOJI * 16_000)
    reply = await pool.request("query.task", {"task_id": "T"})
    assert reply.ok
    assert len(reply.raw) < limits.MAX_REPLY_BYTES


async def test_directives_come_in_portions(pool: PoolHarness) -> None:
    await pool.register("a", capacity=500)
    for number in range(500):
        pool.post("ops.submit", {"task_id": f"T{number}"})
    await pool.rest()
    for _ in range(5):
        await pool.given("agent.a.claim", max=100)
    for number in range(500):
        pool.post("ops.revoke", {"task_id": f"T{number}", "reason": EMOJI * 1024})
    await pool.rest()
    seen: set[str] = set()
    while len(seen) < 500:
        reply = await pool.request("agent.a.heartbeat")
        directives = [each["task_id"] for each in reply.result["directives"]]
        assert directives
        assert len(reply.raw) < limits.MAX_REPLY_BYTES
        seen.update(directives)
        for task_id in directives:
            await pool.request("agent.a.lease", {"task_id": task_id, "token": 1})


async def test_an_agent_that_holds_all_it_may_is_told_all_of_it(pool: PoolHarness) -> None:
    await pool.register("a", capacity=500)
    name = "x" * 60
    for number in range(500):
        pool.post("ops.submit", {"task_id": f"{name}{number:04}"})
    await pool.rest()
    for _ in range(5):
        await pool.given("agent.a.claim", max=100)
    await pool.given("ops.drain", agent_id="a")
    await pool.advance(100)
    reply = await pool.request("agent.a.heartbeat")
    assert len(reply.result["leases"]) == len(reply.result["directives"]) == 500
    assert len(reply.names) == 501
    assert len(reply.raw) < limits.MAX_REPLY_BYTES


async def test_an_error_reply_is_never_larger_than_its_request_by_much(pool: PoolHarness) -> None:
    names = {f"{number}{EMOJI * 10_000}": 1 for number in range(6)}
    body = str(names).replace("'", '"').encode()
    assert len(body) < limits.MAX_REQUEST_BYTES
    reply = await pool.request("ops.submit", body)
    assert reply.code == "invalid_command"
    assert len(reply.raw) < limits.MAX_REPLY_BYTES
