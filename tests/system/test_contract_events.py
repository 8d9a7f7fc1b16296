"""What stands in the stream and on the feed: subjects, envelopes, tokens, hashes, and who may put it there."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from tests.support.broker import Connect, settled
from tests.system.caller import Caller
from tests.system.conftest import Serve
from tests.system.streams import Feed, check_chain, check_log, happened, last_position, read_log

pytestmark = pytest.mark.system

EXPIRING = {"mode": "fixed", "lease_s": 0.2, "grace_s": 0.1}


async def a_little_of_everything(ask: Caller, feed: Feed) -> None:
    """Make as many kinds of events as an afternoon would."""
    await ask.done("agent.a1.register", capacity=20, command_id="reg-1")
    await ask.done("agent.a2.register", capacity=3)
    expiring = await ask.assigned("a1", task_id="expiring", lease=EXPIRING)
    stuck = await ask.assigned("a1", task_id="stuck", lease=EXPIRING, on_silence="stuck")
    await ask.done("ops.submit", task_id="late", deadline_s=0.1)
    tokens = {}
    for name in ("done", "failed", "retried", "released", "blocked", "revoked", "cancelled", "stolen", "quiet"):
        budgets = {"attempts": 1} if name == "revoked" else {}
        tokens[name] = (await ask.assigned("a1", task_id=name, budgets=budgets, payload={"§": name}))["token"]

    def held(name: str) -> dict[str, object]:
        return {"task_id": name, "token": tokens[name]}

    await ask.done("agent.a1.start", held("done"))
    for percent in range(10, 120, 10):
        await ask.done("agent.a1.progress", held("done"), percent=min(percent, 100), message="é☃", checkpoint=[percent])
    await ask.done("agent.a1.complete", held("done"), result={"ok": "✓"})
    await ask.done("agent.a1.fail", held("failed"), error="E", retryable=False)
    await ask.done("agent.a1.fail", held("retried"), error="E")
    await ask.done("agent.a1.release", held("released"), reason="r")
    await ask.done("agent.a1.block", held("blocked"), reason="r")
    await ask.done("ops.unblock", task_id="blocked", actor="ann")
    await ask.done("ops.revoke", task_id="revoked")
    await ask.done("ops.requeue", task_id="revoked")
    await ask.done("ops.cancel", task_id="cancelled")
    await ask.done("agent.a1.silence", held("quiet"), for_s=5, reason="r")
    await ask.done("ops.steal", {"from": "a1", "to": "a2", "task_ids": ["stolen"]})
    for gate in ({"agent_id": "a1"}, {}):
        for verb in ("drain", "pause", "resume"):
            await ask.done(f"ops.{verb}", gate)
    await ask.done("agent.a1.heartbeat", load={"cpu": 95})
    await feed.until("task.expired", "expiring")
    await feed.until("task.failed", "late")
    await feed.until("task.stuck", "stuck")
    await ask.done("agent.a1.start", task_id="stuck", token=stuck["token"])
    await ask.refused("agent.a1.progress", "stale_token", task_id="expiring", token=expiring["token"], percent=9)
    await ask.done("agent.a2.deregister")


EXPECTED = {
    *("pool.opened", "pool.led", "pool.draining", "pool.paused", "pool.resumed"),
    *("agent.registered", "agent.heartbeat", "agent.draining", "agent.paused", "agent.resumed", "agent.deregistered"),
    *("steal.planned", "steal.executing", "steal.completed"),
    *("task.submitted", "task.leased", "task.started", "task.progressed", "task.silenced", "task.escalated"),
    *("task.stolen", "task.released", "task.revoked", "task.expired", "task.stuck", "task.recovered"),
    *("task.blocked", "task.unblocked", "task.quarantined", "task.requeued", "task.completed", "task.failed"),
    *("task.cancelled", "task.late_progress"),
}


async def test_every_event_is_to_the_letter(ask: Caller, connect: Connect, pool: str) -> None:
    nc = await connect()
    async with Feed(nc, pool) as feed:
        await a_little_of_everything(ask, feed)
    log = await read_log(nc, pool)
    check_log(log, pool)
    assert {event.name for event in log} >= EXPECTED
    by_actor = {event.name: event.body["actor"] for event in log}
    assert by_actor["pool.led"] == by_actor["pool.opened"] == "writer"
    assert by_actor["task.expired"] == by_actor["task.stuck"] == "sweeper"
    assert by_actor["task.unblocked"] == "ops/ann"
    assert next(event for event in log if event.name == "agent.registered").body["causationid"] == "reg-1"


async def test_what_ends_a_lease_names_its_token_and_the_numbers(ask: Caller, connect: Connect, pool: str) -> None:
    nc = await connect()
    async with Feed(nc, pool) as feed:
        await a_little_of_everything(ask, feed)
    log = await read_log(nc, pool)
    tokens: dict[str, int] = {}
    for event in log:
        if event.name in {"task.leased", "task.stolen"}:
            tokens[event.entity_id] = event.position
    for name in ("done", "failed", "retried", "released", "blocked", "revoked", "cancelled", "quiet"):
        about = [event for event in log if event.entity_id == name]
        granted = next(event.position for event in about if event.name == "task.leased")
        ends = {"task.completed", "task.failed", "task.released", "task.blocked", "task.revoked", "task.cancelled"}
        ends |= {"task.silenced"} | ({"task.requeued"} if name == "retried" else set())
        assert [event.data["token"] for event in about if event.name in ends] == [granted]
    judged = [event for event in log if event.name in {"task.expired", "task.stuck"}]
    assert all(event.data["numbers"].keys() >= {"expires_at", "grace_s", "silence_s"} for event in judged)
    (overdue,) = [event for event in log if event.name == "task.failed" and event.entity_id == "late"]
    assert overdue.data["error"] == "deadline exceeded by sweeper"
    assert overdue.data["numbers"]["overdue_s"] > 0
    (planned,) = [event for event in log if event.name == "steal.planned"]
    assert planned.data.items() >= {"from_agent": "a1", "to_agent": "a2", "task_ids": ["stolen"]}.items()
    (moved,) = [event for event in log if event.name == "steal.completed"]
    assert moved.data["moved"] == 1
    held = planned.data["source_tasks"]
    assert (moved.data["source_tasks_before"], moved.data["source_tasks_after"]) == (held, held - 1)
    assert (moved.data["target_tasks_before"], moved.data["target_tasks_after"]) == (0, 1)
    causes = {event.data["cause"] for event in log if event.name == "task.requeued"}
    assert causes == {"expiry", "release", "failure", "unblock", "operator"}


async def test_the_feed_brings_every_accepted_event_with_its_position(ask: Caller, connect: Connect, pool: str) -> None:
    nc = await connect()
    async with Feed(nc, pool) as feed:
        start = await last_position(nc, pool)
        await a_little_of_everything(ask, feed)
        log = await read_log(nc, pool, after=start)
        await feed.until(log[-1].name, fits=lambda event: event.position == log[-1].position)
        seen = [event for event in feed.seen if start < event.position <= log[-1].position]
        assert [event.position for event in seen] == [event.position for event in log]
        assert [event.raw for event in seen] == [event.raw for event in log]
        assert all(
            on_feed.subject == event.subject.replace(f"custody.{pool}.evt.", f"custody.{pool}.feed.", 1)
            for on_feed, event in zip(seen, log, strict=True)
        )


async def test_a_reply_is_sent_after_its_events_are_in_the_stream(ask: Caller, connect: Connect, pool: str) -> None:
    nc = await connect()
    for number in range(20):
        reply = await ask.ask("ops.submit", task_id=f"T{number}")
        assert await last_position(nc, pool) >= reply.position


async def test_the_chain_goes_on_over_a_change_of_service(serve: Serve, connect: Connect, pool: str) -> None:
    first = await serve()
    nc = await connect()
    ask = Caller(nc, pool)
    await ask.done("ops.submit")
    await first.stop()
    await serve()
    await asyncio.gather(*(ask.done("ops.submit") for _ in range(50)))
    log = await read_log(nc, pool)
    check_log(log, pool)
    assert sum(event.name == "pool.led" for event in log) == 2
    tampered = [*log[:3], log[3]._replace(raw=log[3].raw + b" "), *log[4:]]
    with pytest.raises(AssertionError, match="the chain breaks at 4"):
        check_chain(tampered)


async def unanswered(nc: Client, subject: str, reply: str, body: bytes = b"{}") -> None:
    await nc.publish(subject, body, reply=reply)
    await settled(nc)


@pytest.mark.parametrize(
    "reply",
    ["custody.{pool}.evt.task.T9.completed", "custody.{pool}.ops.submit", "inbox.x", "$JS.API.INFO", "_inbox.x"],
)
async def test_a_reply_subject_outside_the_inboxes_is_refused_unanswered(
    ask: Caller, connect: Connect, pool: str, reply: str
) -> None:
    nc = await connect()
    at = await last_position(nc, pool)
    await unanswered(ask.nc, f"custody.{pool}.ops.submit", reply.format(pool=pool), b'{"task_id": "T1"}')
    await ask.refused("query.task", "unknown_task", task_id="T1")
    assert await happened(nc, pool, after=at) == []


async def test_a_command_without_a_reply_subject_is_carried_out(ask: Caller, connect: Connect, pool: str) -> None:
    async with Feed(await connect(), pool) as feed:
        await unanswered(ask.nc, f"custody.{pool}.ops.submit", "", b'{"task_id": "T1", "command_id": "c"}')
        assert (await feed.until("task.submitted", "T1")).body["causationid"] == "c"
        await unanswered(ask.nc, f"custody.{pool}.ops.submit", "", b"nonsense")
        await unanswered(ask.nc, f"custody.{pool}.query.tasks", "")
        assert (await ask.task("T1"))["status"] == "queued"


async def test_a_pool_without_a_service_has_no_responder(connect: Connect, pool: str) -> None:
    with pytest.raises(NoRespondersError):
        await (await connect()).request(f"custody.{pool}.query.health", b"{}", timeout=10)
