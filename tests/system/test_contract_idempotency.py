"""A command id makes a command idempotent: at once, in flight, after a restart; refusals are decided anew."""

import asyncio
from typing import Any

import pytest

from tests.support.broker import Connect
from tests.system.caller import Caller
from tests.system.conftest import Serve
from tests.system.streams import Feed, happened, last_position, read_log

pytestmark = pytest.mark.system


async def every_command(ask: Caller) -> dict[str, tuple[str, dict[str, Any]]]:
    """Carry out each verb once under its own id; return what was asked, by id."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {}

    async def once(tail: str, **fields: Any) -> Any:
        command_id = f"id-{len(asked)}"
        asked[command_id] = (tail, {**fields, "command_id": command_id})
        return await ask.done(tail, asked[command_id][1])

    await once("agent.a1.register", capacity=20)
    await once("agent.a2.register", capacity=20)
    for number in range(9):
        await once("ops.submit", task_id=f"T{number}", payload=[number], priority="high" if number < 4 else "low")
    await once("ops.submit", title="no id of its own")
    leases = {lease["task_id"]: lease for lease in (await once("agent.a1.claim", max=4))["leases"]}

    def held(task_id: str) -> dict[str, Any]:
        return {"task_id": task_id, "token": leases[task_id]["token"]}

    leases["T4"] = await once("ops.assign", task_id="T4", agent_id="a1")
    leases["T5"] = await once("ops.assign", task_id="T5", agent_id="a1")
    await once("agent.a1.start", **held("T0"))
    await once("agent.a1.progress", **held("T0"), percent=50, checkpoint={"k": 1})
    await once("agent.a1.silence", **held("T0"), for_s=60, reason="r")
    await once("agent.a1.complete", **held("T0"), result="R")
    await once("agent.a1.fail", **held("T1"), error="E")
    await once("agent.a1.release", **held("T2"))
    await once("agent.a1.block", **held("T3"), reason="r")
    await once("ops.unblock", task_id="T3")
    await once("ops.revoke", task_id="T4")
    await once("ops.steal", **{"from": "a1", "to": "a2", "count": 1})
    await once("ops.cancel", task_id="T6", reason="r")
    await once("ops.drain", agent_id="a1")
    await once("ops.pause")
    await once("ops.resume")
    await once("agent.a1.deregister")
    return asked


async def test_the_first_outcome_is_the_outcome_also_after_a_restart(serve: Serve, connect: Connect, pool: str) -> None:
    server = await serve()
    nc = await connect()
    ask = Caller(nc, pool)
    asked = await every_command(ask)
    log = await read_log(nc, pool)
    repeats = {command_id: await ask.ask(*request) for command_id, request in asked.items()}
    for command_id, reply in repeats.items():
        assert reply.ok, reply.body
        own = [event.position for event in log if event.body["causationid"] == command_id]
        assert [event["position"] for event in reply.body["events"]] == own
        assert own, f"{asked[command_id]} appended nothing"
        assert reply.position == own[-1]
    assert await happened(nc, pool, after=log[-1].position) == []
    await server.stop()
    await serve()
    before = await last_position(nc, pool)
    for command_id, request in asked.items():
        assert (await ask.ask(*request)).body == repeats[command_id].body, request
    assert await happened(nc, pool, after=before) == []


async def test_a_repeat_is_the_very_reply(ask: Caller) -> None:
    await ask.done("agent.a1.register", capacity=5)
    await ask.done("ops.submit", task_id="T1", payload={"k": 1})
    for number, tail in enumerate(("agent.a1.claim", "ops.submit", "agent.a1.claim", "ops.pause")):
        first = await ask.ask(tail, command_id=f"c{number}")
        assert first.events
        assert (await ask.ask(tail, command_id=f"c{number}")).body == first.body


async def test_ids_are_keyed_by_actor_and_verb(ask: Caller) -> None:
    await ask.done("agent.a1.register", command_id="x")
    await ask.done("agent.a2.register", command_id="x")
    one = await ask.done("ops.submit", command_id="x")
    two = await ask.done("ops.submit", command_id="x", actor="ann")
    assert one != two
    assert (await ask.ask("agent.a1.claim", command_id="x")).events == ["task.leased"]
    assert (await ask.ask("agent.a2.claim", command_id="x")).events == ["task.leased"]
    assert await ask.done("ops.submit", command_id="x", actor="ann") == two
    await ask.refused("ops.submit", "command_conflict", command_id="x", title="another")


async def test_an_id_in_flight_joins_the_first_request(ask: Caller, connect: Connect, pool: str) -> None:
    replies = await asyncio.gather(*(ask.ask("ops.submit", command_id="same") for _ in range(30)))
    assert len({str(reply.body) for reply in replies}) == 1
    log = await read_log(await connect(), pool)
    assert sum(event.body["causationid"] == "same" for event in log) == 1


async def test_a_waiting_claim_is_joined_too(ask: Caller, connect: Connect, pool: str) -> None:
    await ask.done("agent.a1.register", capacity=5)
    claims = [asyncio.create_task(ask.ask("agent.a1.claim", wait_s=10, command_id="w")) for _ in range(3)]
    while (await ask.done("query.health"))["waiting_claims"] != 1:
        await ask.nc.flush()
    await ask.done("ops.submit", task_id="T1")
    replies = await asyncio.gather(*claims)
    assert all(reply.body == replies[0].body for reply in replies)
    assert replies[0].result["leases"][0]["task_id"] == "T1"
    assert (await ask.ask("agent.a1.claim", wait_s=10, command_id="w")).body == replies[0].body
    log = await read_log(await connect(), pool)
    assert sum(event.name == "task.leased" for event in log) == 1


async def test_refusals_and_empty_claims_are_decided_anew(ask: Caller) -> None:
    await ask.refused("agent.a1.claim", "unknown_agent", command_id="c")
    await ask.done("agent.a1.register")
    assert (await ask.done("agent.a1.claim", command_id="c"))["leases"] == []
    await ask.done("ops.submit")
    assert len((await ask.done("agent.a1.claim", command_id="c"))["leases"]) == 1


async def test_without_an_id_every_request_is_a_new_command(ask: Caller) -> None:
    made = {(await ask.done("ops.submit", title="same"))["task_id"] for _ in range(5)}
    assert len(made) == 5


async def test_a_late_report_keeps_its_refusal(ask: Caller, connect: Connect, pool: str) -> None:
    async with Feed(await connect(), pool) as feed:
        lease = await ask.lease(task_id="T1", lease={"mode": "fixed", "lease_s": 0.1, "grace_s": 0})
        await feed.until("task.expired")
        report = {"task_id": "T1", "token": lease["token"], "percent": 5, "command_id": "late"}
        details = [await ask.refused("agent.a1.progress", "stale_token", report) for _ in range(3)]
        assert details[0] == details[1] == details[2]
        assert sum(event.name == "task.late_progress" for event in await read_log(feed.nc, pool)) == 1


async def test_only_so_many_outcomes_are_remembered(serve: Serve, connect: Connect, pool: str) -> None:
    await serve(outcomes_remembered=2)
    ask = Caller(await connect(), pool)
    first = [await ask.ask("ops.submit", command_id=f"c{number}") for number in range(3)]
    assert (await ask.ask("ops.submit", command_id="c2")).body == first[2].body
    assert (await ask.ask("ops.submit", command_id="c0")).body != first[0].body
