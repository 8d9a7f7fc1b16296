"""Bad input of every kind gets its error reply, appends nothing, and the service goes on."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.broker import Connect
from tests.support.cases import case
from tests.system.caller import Caller
from tests.system.streams import Feed, happened, last_position

pytestmark = pytest.mark.system

KIB = 1024
LONG_NAME = "n" * 65
DEEP = 100_000


@pytest.fixture
async def unharmed(ask: Caller, connect: Connect, pool: str) -> AsyncIterator[Caller]:
    """A pool that must be where it was, and at work, after the test."""
    nc = await connect()
    at = await last_position(nc, pool)
    yield ask
    assert await happened(nc, pool, after=at) == []
    health = await ask.done("query.health")
    assert (health["position"], health["unreadable_events"]) == (await last_position(nc, pool), 0)
    await ask.done("ops.submit")


NO_OBJECTS = [
    b"not json",
    b"\x00",
    b" ",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b"{",
    b"{}{}",
    b'{"task_id": "T1",}',
    b"null",
    b"[]",
    b'"{}"',
    b"1",
    b"[" * DEEP + b"]" * DEEP,
    b'{"payload":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    b'{"title": "\\ud800"}',
    b'{"title": "\xed\xa0\x80"}',
    b'{"payload": ' + b"9" * 5000 + b"}",
    b" " * (256 * KIB - 1) + b"{}",
]


@pytest.mark.parametrize("tail", ["ops.submit", "agent.a1.register", "query.tasks"])
async def test_a_body_that_is_no_json_object_of_the_size(unharmed: Caller, tail: str) -> None:
    for body in NO_OBJECTS:
        reply = await unharmed.ask(tail, body)
        assert (reply.code, reply.fields) == ("invalid_command", {"(body)"}), body[:40]


def each(field: str, *values: Any) -> list[tuple[str, Any]]:
    return [(field, value) for value in values]


BAD_SUBMITS: list[tuple[str, Any]] = [
    *each("task_id", "", "a b", "ä", "a\n", "a\x00", 2 * LONG_NAME, 1),
    *each("title", "x" * 257, 1, "nul\x00", []),
    *each("priority", "Medium", "", 1, []),
    *each("labels", "x", [""], ["x" * 65], [1], ["x"] * 33, {}, ["\x00"]),
    *each("required_capabilities", "x", [None], ["x" * 65], ["x"] * 65),
    *each("estimated_hours", 0, -1, "1", float("nan"), float("inf"), 1e9, []),
    *each("deadline", "soon", 5, "2030-01-01T00:00:00", "2030-13-01T00:00:00Z", "2030-01-01"),
    *each("deadline", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *each("deadline_s", -1, "1", float("nan"), 1e300, 10**400),
    *each("on_silence", "wait", 1),
    *each("command_id", "", "x" * 129, 1, "a\x00"),
    *each("lease.mode", "eternal", 1),
    *each("lease.lease_s", 0, -1, "1", float("nan"), 1e12),
    ("lease.grace_s", -1),
    ("lease.max_renewals", -1),
    ("lease.max_renewals", 1.5),
    ("lease.max_lease_s", 0),
    ("lease.silence_multiplier", 0),
    ("lease.unknown", 1),
    ("budgets.failures", 0),
    ("budgets.attempts", 10**30),
    ("budgets.steals", -1),
    ("budgets.expiries", 1.5),
    ("budgets.unknown", 1),
    ("tittle", "misspelt"),
]


async def test_each_bad_field_of_a_submit_is_named(unharmed: Caller) -> None:
    for field, value in BAD_SUBMITS:
        with case(f"{field} = {value!r:.60}"):
            outer, _, inner = field.partition(".")
            reply = await unharmed.ask("ops.submit", {outer: {inner: value} if inner else value})
            assert reply.code == "invalid_command"
            assert all(name.startswith(field) for name in reply.fields), reply.body
            assert field.rpartition(".")[2] in reply.message


async def test_every_bad_field_is_named_at_once(unharmed: Caller) -> None:
    reply = await unharmed.ask("ops.submit", title=1, priority="x", labels="x", budgets={"failures": 0, "n": 1}, z=1)
    assert reply.fields == {"title", "priority", "labels", "budgets.failures", "budgets.n", "z"}
    reply = await unharmed.ask("agent.a1.progress")
    assert reply.fields == {"task_id", "token", "percent"}


DOCUMENTS = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b'["\\u0000"]',
    b'{"\\u0000": 1}',
    b"18446744073709551616",
    b"-9223372036854775809",
    b"1" * 4000,
    b"[" * 66 + b"]" * 66,
    b'"' + b"x" * 64 * KIB + b'"',
    b'"' + "é".encode() * 33 * KIB + b'"',
]


@pytest.mark.parametrize("field", ["payload", "checkpoint", "result"])
async def test_free_json_has_its_limits_too(unharmed: Caller, field: str) -> None:
    tail, needed = {
        "payload": ("ops.submit", b""),
        "checkpoint": ("agent.a1.progress", b'"task_id":"T","token":1,"percent":1,'),
        "result": ("agent.a1.complete", b'"task_id":"T","token":1,'),
    }[field]
    for document in DOCUMENTS:
        reply = await unharmed.ask(tail, b"{%b%b:%b}" % (needed, json.dumps(field).encode(), document))
        assert (reply.code, reply.fields) == ("invalid_command", {field}), document[:40]


T = {"task_id": "T", "token": 1}
BAD_COMMANDS: list[tuple[str, dict[str, Any], str]] = [
    *[("agent.a1.start", {"task_id": "T", "token": token}, "token") for token in (0, -1, 1.0, "1", True, 2**63, None)],
    *[("agent.a1.progress", {**T, "percent": percent}, "percent") for percent in (-1, 101, 1.5, 50.0, "50", True)],
    ("agent.a1.progress", {**T, "percent": 1, "message": "x" * (4 * KIB + 1)}, "message"),
    ("agent.a1.progress", {**T, "percent": 1, "message": "é" * (2 * KIB + 1)}, "message"),
    *[("agent.a1.silence", {**T, "reason": "x", "for_s": value}, "for_s") for value in (0, -1, 3600.1, "9", 1e400)],
    ("agent.a1.silence", {**T, "for_s": 1}, "reason"),
    ("agent.a1.block", T, "reason"),
    ("agent.a1.fail", T, "error"),
    ("agent.a1.fail", {**T, "error": "x" * (4 * KIB + 1)}, "error"),
    ("agent.a1.fail", {**T, "error": "x", "retryable": "yes"}, "retryable"),
    *[("agent.a1.claim", {"max": value}, "max") for value in (0, 101, 1.0, "1")],
    *[("agent.a1.claim", {"wait_s": value}, "wait_s") for value in (-1, 30.1, "1", float("nan"))],
    *[("agent.a1.register", {"capacity": value}, "capacity") for value in (0, 501, 1.5)],
    *[("agent.a1.register", {"priority": value}, "priority") for value in (-1, "1", float("inf"))],
    ("agent.a1.register", {"capabilities": [1]}, "capabilities.0"),
    *[("agent.a1.heartbeat", {"load": {"cpu": value}}, "load.cpu") for value in (-1, 101, "5", float("nan"))],
    ("agent.a1.heartbeat", {"load": {"gpu": 1}}, "load.gpu"),
    ("agent.a1.heartbeat", {"load": 5}, "load"),
    ("agent.a1.deregister", {"force": True}, "force"),
    ("ops.assign", {}, "task_id"),
    ("ops.assign", {"task_id": "T", "agent_id": "a.b"}, "agent_id"),
    ("ops.cancel", {"reason": "x"}, "task_id"),
    ("ops.revoke", {"task_id": "T", "reason": 1}, "reason"),
    ("ops.steal", {"to": "a2"}, "from"),
    ("ops.steal", {"from": "a1"}, "to"),
    ("ops.steal", {"from": "a1", "to": "a2", "task_ids": ["T"] * 201}, "task_ids"),
    ("ops.steal", {"from": "a1", "to": "a2", "task_ids": ["a b"]}, "task_ids.0"),
    ("ops.steal", {"from": "a1", "to": "a2", "count": 0}, "count"),
    ("ops.drain", {"agent_id": "*"}, "agent_id"),
    ("ops.pause", {"task_id": "T"}, "task_id"),
    ("query.task", {}, "task_id"),
    ("query.task", {"task_id": "evt >"}, "task_id"),
    *[("query.tasks", {"limit": value}, "limit") for value in (0, 1001, "5")],
    ("query.tasks", {"status": "lost"}, "status"),
    ("query.leases", {"status": "stale"}, "status"),
    ("query.agents", {"after": 5}, "after"),
    ("query.health", {"verbose": True}, "verbose"),
]


async def test_each_bad_field_of_a_command_is_named(unharmed: Caller) -> None:
    for tail, body, field in BAD_COMMANDS:
        with case(f"{tail} {body!r:.80}"):
            reply = await unharmed.ask(tail, body)
            assert (reply.code, reply.fields) == ("invalid_command", {field})
            assert field.partition(".")[0] in reply.message


BAD_SUBJECTS = [
    ("ops.claim", "verb"),
    ("ops.Submit", "verb"),
    ("ops.>", "verb"),
    ("agent.a1.submit", "verb"),
    ("agent.a1.*", "verb"),
    ("agent.*.claim", "agent"),
    ("agent.ä.claim", "agent"),
    (f"agent.{LONG_NAME}.claim", "agent"),
    ("query.everything", "view"),
    ("ops.submit.now", "subject"),
    ("agent.a1", "subject"),
    ("agent.a1.claim.x", "subject"),
]


async def test_an_unknown_verb_or_an_ill_formed_name(unharmed: Caller) -> None:
    for tail, field in BAD_SUBJECTS:
        reply = await unharmed.ask(tail)
        assert (reply.code, reply.fields) == ("invalid_command", {field}), tail


async def test_a_request_may_have_256_kib(ask: Caller) -> None:
    body = json.dumps({"task_id": "T1", "payload": "x" * (64 * KIB - 2)}).encode()
    reply = await ask.ask("ops.submit", body + b" " * (256 * KIB - len(body)))
    assert reply.result == {"task_id": "T1", "was": "new"}
    assert len((await ask.task("T1"))["payload"]) == 64 * KIB - 2


async def test_the_widest_values_are_taken_and_come_back(ask: Caller) -> None:
    payload = {"min": -(2**63), "max": 2**64 - 1, "tiny": 5e-324, "huge": 1.7e308, "😀": "\u2028\\ud800", "z": -0.0}
    await ask.done("ops.submit", task_id="n" * 64, title="t" * 256, payload=payload, labels=["x" * 64] * 32)
    assert (await ask.task("n" * 64))["payload"] == payload


async def test_a_deadline_at_the_end_of_the_calendar_does_not_stop_the_clockwork(
    ask: Caller, connect: Connect, pool: str
) -> None:
    async with Feed(await connect(), pool) as feed:
        await ask.done("agent.a1.register", capacity=2)
        for task_id in ("T1", "T2"):
            await ask.done("ops.submit", task_id=task_id, lease={"mode": "fixed", "lease_s": 0.1, "grace_s": 0})
        await ask.ask("ops.submit", task_id="T3", deadline="9999-12-31T23:59:59.999999Z")
        for task_id in ("T1", "T2"):
            await ask.done("ops.assign", task_id=task_id)
            await feed.until("task.expired", task_id)
