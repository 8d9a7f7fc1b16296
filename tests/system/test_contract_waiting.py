"""Claims that wait for work."""

import asyncio
import time

import pytest

from tests.support.broker import Connect
from tests.system.caller import Caller, Reply
from tests.system.conftest import Serve
from tests.system.streams import Feed

pytestmark = pytest.mark.system

PATIENCE_S = 15.0
"""Below the time that a claim waits here."""


async def waiting(ask: Caller, agent: str = "a1", **fields: float | str) -> asyncio.Task[Reply]:
    """A claim that waits; returns once the service says so."""
    before = (await ask.done("query.health"))["waiting_claims"]
    claim = asyncio.create_task(ask.ask(f"agent.{agent}.claim", {"wait_s": 20, **fields}, patience_s=25))
    async with asyncio.timeout(PATIENCE_S):
        while (await ask.done("query.health"))["waiting_claims"] == before:
            pass
    return claim


async def test_it_is_answered_when_work_comes(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    claim = await waiting(ask)
    await ask.done("ops.submit", task_id="T1", payload=1)
    reply = await claim
    assert reply.events == ["task.leased"]
    assert [lease["payload"] for lease in reply.result["leases"]] == [1]


async def test_it_is_empty_when_its_time_is_over(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    started = time.monotonic()
    reply = await ask.ask("agent.a1.claim", wait_s=0.3)
    assert time.monotonic() - started >= 0.29
    assert (reply.result, reply.events) == ({"leases": []}, [])
    await ask.done("ops.submit", task_id="T1")
    assert (await ask.task("T1"))["status"] == "queued", "the waiter is dropped"


async def test_one_task_goes_to_one_waiter_the_first(ask: Caller) -> None:
    claims = []
    for agent in ("a1", "a2", "a3"):
        await ask.done(f"agent.{agent}.register")
        claims.append(await waiting(ask, agent))
    for number, claim in enumerate(claims):
        await ask.done("ops.submit", task_id=f"T{number}")
        assert (await claim).result["leases"][0]["task_id"] == f"T{number}"
        assert not any(later.done() for later in claims[number + 1 :])


async def test_only_who_can_do_the_work_is_woken(ask: Caller) -> None:
    await ask.done("agent.a1.register", capabilities=["x"])
    await ask.done("agent.a2.register", capabilities=["x", "gpu"])
    first, second = await waiting(ask, "a1"), await waiting(ask, "a2")
    await ask.done("ops.submit", task_id="T1", required_capabilities=["gpu"])
    assert (await second).result["leases"][0]["task_id"] == "T1"
    await ask.done("ops.submit", task_id="T2", required_capabilities=["x"])
    assert (await first).result["leases"][0]["task_id"] == "T2"


async def test_a_registration_ends_the_waits_before_it(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    before = await waiting(ask, "a1")
    await ask.done("agent.a1.register", capabilities=["y"])
    async with asyncio.timeout(PATIENCE_S):
        assert (await before).result == {"leases": []}
    after = await waiting(ask, "a1")
    await ask.done("ops.submit", task_id="T1", required_capabilities=["y"])
    assert (await after).result["leases"][0]["task_id"] == "T1"


async def test_what_is_requeued_wakes_a_waiter(ask: Caller, connect: Connect, pool: str) -> None:
    async with Feed(await connect(), pool) as feed:
        await ask.done("agent.a1.register")
        await ask.done("agent.a2.register")
        # The claim waits before there is a lease that may expire, and is not given what the other agent is to have.
        await ask.done("ops.pause", agent_id="a2")
        claim = await waiting(ask, "a2")
        await ask.assigned("a1", task_id="T1", lease={"mode": "fixed", "lease_s": 0.1, "grace_s": 0.1})
        await ask.done("ops.resume", agent_id="a2")
        await feed.until("task.requeued")
        lease = (await claim).result["leases"][0]
        assert (lease["attempt"], lease["handoff"]["from_agent"]) == (2, "a1")


async def test_a_task_assigned_meanwhile_is_the_answer(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    claim = await waiting(ask)
    submitted, assigned = await asyncio.gather(
        ask.ask("ops.submit", task_id="T1"), ask.ask("ops.assign", task_id="T1", agent_id="a1", command_id="c")
    )
    assert submitted.ok
    reply = await claim
    assert reply.ok, reply.body
    (lease,) = reply.result["leases"]
    assert (lease["task_id"], lease["token"]) == ("T1", (await ask.task("T1"))["token"])
    assert not assigned.ok or assigned.result["token"] == lease["token"]


async def test_a_task_stolen_meanwhile_is_the_answer(ask: Caller) -> None:
    await ask.lease(task_id="T1")
    await ask.done("agent.a2.register")
    claim = await waiting(ask, "a2")
    await ask.done("ops.steal", {"from": "a1", "to": "a2", "task_ids": ["T1"]})
    lease = (await claim).result["leases"][0]
    assert (lease["task_id"], lease["attempt"]) == ("T1", 2)
    assert await ask.done("agent.a2.lease", task_id="T1", token=lease["token"]) == lease


async def test_who_leaves_is_told_at_once(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    claim = await waiting(ask)
    await ask.done("agent.a1.deregister")
    async with asyncio.timeout(PATIENCE_S):
        assert (await claim).code == "unknown_agent"


async def test_a_claim_waits_for_a_closed_gate_to_open(ask: Caller) -> None:
    await ask.done("agent.a1.register")
    await ask.done("ops.pause")
    await ask.done("ops.submit", task_id="T1")
    await ask.refused("agent.a1.claim", "paused")
    claim = await waiting(ask, "a1")
    await ask.done("ops.resume")
    assert (await claim).result["leases"][0]["task_id"] == "T1"


async def test_waiting_is_no_sign_of_trouble_for_others(serve: Serve, connect: Connect, pool: str) -> None:
    await serve()
    ask = Caller(await connect(), pool)
    await ask.done("agent.a1.register", capacity=500)
    claims = [asyncio.create_task(ask.ask("agent.a1.claim", wait_s=30, patience_s=40)) for _ in range(40)]
    async with asyncio.timeout(PATIENCE_S):
        while sum(claim.done() for claim in claims) + (await ask.done("query.health"))["waiting_claims"] < 40:
            pass
    turned_away = [claim.result().code for claim in claims if claim.done()]
    assert turned_away == ["overloaded"] * 24, "sixteen may wait for one agent"
    await asyncio.gather(*(ask.done("ops.submit") for _ in range(16)))
    granted = [len(claim.result().result["leases"]) for claim in claims if (await claim).ok]
    assert granted == [1] * 16
