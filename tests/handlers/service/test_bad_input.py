"""Bad input costs nothing but its error reply, which names each field; the service goes on."""

from __future__ import annotations

import json

import pytest

from domain import limits
from tests.support.pool_harness import Asked, PoolHarness, Reply

BIG_KEY = "k" * 100_000
HOLD = {"task_id": "T", "token": 1}

BODIES: dict[str, tuple[str, bytes, set[str]]] = {
    "not JSON": ("ops.submit", b"{", {"(body)"}),
    "empty text": ("ops.submit", b" ", {"(body)"}),
    "not UTF-8": ("ops.submit", b'{"title": "\xff"}', {"(body)"}),
    "two values": ("ops.submit", b"{}{}", {"(body)"}),
    "a list": ("ops.submit", b"[]", {"(body)"}),
    "null": ("ops.submit", b"null", {"(body)"}),
    "a lone surrogate": ("ops.submit", b'{"title": "\\ud800"}', {"(body)"}),
    "a lone surrogate deep inside": ("ops.submit", b'{"payload": [{"x": "\\udfff"}]}', {"(body)"}),
    "nested 100,000 deep": ("ops.submit", b'{"payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {"(body)"}),
    "nested too deep": ("ops.submit", b'{"payload": ' + b"[" * 70 + b"]" * 70 + b"}", {"payload"}),
    "not a number": ("ops.submit", b'{"payload": NaN}', {"payload"}),
    "infinite": ("agent.a.heartbeat", b'{"load": {"cpu": Infinity}}', {"load.cpu"}),
    "a huge integer": ("ops.submit", b'{"payload": 1' + b"0" * 30 + b"}", {"payload"}),
    "an enormous integer": ("ops.submit", b'{"payload": 1' + b"0" * 5000 + b"}", {"(body)"}),
    "a huge token": ("agent.a.start", b'{"task_id": "T", "token": 1' + b"0" * 30 + b"}", {"token"}),
    "an enormous token": ("agent.a.start", b'{"task_id": "T", "token": 1' + b"0" * 6000 + b"}", {"(body)"}),
    "a NUL byte in a title": ("ops.submit", b'{"title": "\\u0000"}', {"title"}),
    "a NUL byte in a payload": ("ops.submit", b'{"payload": {"a\\u0000": 1}}', {"payload"}),
    "a NUL byte in an id": ("ops.submit", b'{"command_id": "\\u0000"}', {"command_id"}),
    "unknown fields": ("ops.submit", b'{"titel": "x", "prio": 1}', {"titel", "prio"}),
    "an enormous unknown field": ("ops.submit", json.dumps({BIG_KEY: 1, "title": 1}).encode(), {BIG_KEY, "title"}),
    "missing fields": ("agent.a.progress", b"{}", {"task_id", "token", "percent"}),
    "ill-typed": (
        "ops.submit",
        b'{"title": 1, "labels": "x", "estimated_hours": "2", "priority": 3}',
        {"title", "labels", "estimated_hours", "priority"},
    ),
    "a number as text": ("agent.a.start", b'{"task_id": "T", "token": "1"}', {"token"}),
    "a number as a boolean": ("agent.a.claim", b'{"max": true}', {"max"}),
    "out of range": ("agent.a.claim", b'{"max": 101, "wait_s": 31}', {"max", "wait_s"}),
    "below the range": ("agent.a.claim", b'{"max": 0, "wait_s": -1}', {"max", "wait_s"}),
    "a percentage with a fraction": ("agent.a.progress", b'{"task_id":"T","token":1,"percent":1.5}', {"percent"}),
    "ill-formed names": ("ops.assign", b'{"task_id": "a b", "agent_id": "x y"}', {"task_id", "agent_id"}),
    "a name with a line break": ("ops.cancel", b'{"task_id": "T\\n"}', {"task_id"}),
    "an empty name": ("ops.cancel", b'{"task_id": ""}', {"task_id"}),
    "a name that is too long": ("ops.cancel", json.dumps({"task_id": "x" * 129}).encode(), {"task_id"}),
    "a title that is too long": ("ops.submit", json.dumps({"title": "x" * 257}).encode(), {"title"}),
    "a payload that is too large": ("ops.submit", json.dumps({"payload": "x" * 65_536}).encode(), {"payload"}),
    "a message that is too long": (
        "agent.a.progress",
        json.dumps({**HOLD, "percent": 1, "message": "é" * 2049}).encode(),
        {"message"},
    ),
    "an id that is too long": ("ops.submit", json.dumps({"command_id": "x" * 129}).encode(), {"command_id"}),
    "a deadline without an offset": ("ops.submit", b'{"deadline": "2026-11-21T08:00:00"}', {"deadline"}),
    "a lease of no mode": ("ops.submit", b'{"lease": {"mode": "eternal", "x": 1}}', {"lease.mode", "lease.x"}),
    "a silence that is too long": (
        "agent.a.silence",
        json.dumps({**HOLD, "for_s": 3601, "reason": "x"}).encode(),
        {"for_s"},
    ),
    "too many labels": ("ops.submit", json.dumps({"labels": ["x"] * 33}).encode(), {"labels"}),
    "a page that is too large": ("query.tasks", b'{"limit": 1001}', {"limit"}),
    "an unknown status": ("query.tasks", b'{"status": "lost"}', {"status"}),
    "an unknown field of a query": ("query.health", b'{"x": 1}', {"x"}),
}


def fields(reply: Reply) -> set[str]:
    assert reply.code == "invalid_command", reply
    assert reply.headers["Nats-Service-Error-Code"] == "400"
    header = reply.headers["Nats-Service-Error"]
    assert header.startswith("invalid_command: ")
    assert header.isascii()
    assert header.isprintable()
    return {each["field"] for each in reply["error"]["details"]["fields"]}


@pytest.mark.parametrize(("subject", "body", "wanted"), BODIES.values(), ids=BODIES.keys())
async def test_each_field_is_named_and_nothing_is_appended(
    pool: PoolHarness, subject: str, body: bytes, wanted: set[str]
) -> None:
    position = pool.position
    assert fields(await pool.request(subject, body)) == wanted
    assert pool.position == position
    assert (await pool.request("ops.submit", b"")).ok


@pytest.mark.parametrize(
    ("subject", "field"),
    [
        ("ops.sumbit", "verb"),
        ("ops.claim", "verb"),
        ("agent.a.submit", "verb"),
        ("agent.a.", "verb"),
        ("query.everything", "view"),
        ("agent.a", "subject"),
        ("agent.a.b.claim", "subject"),
        ("ops", "subject"),
        ("evt.task.T.leased", "subject"),
        ("", "subject"),
        ("agent.a!.claim", "agent"),
        ("agent.a\n.claim", "agent"),
        (f"agent.{'x' * 65}.claim", "agent"),
        ("agent..claim", "agent"),
    ],
)
async def test_subjects_that_mean_nothing_are_refused(pool: PoolHarness, subject: str, field: str) -> None:
    assert fields(await pool.request(subject, b"{}")) == {field}


async def test_a_request_that_is_too_large_is_refused_unread(pool: PoolHarness) -> None:
    body = b'{"payload": "' + b"x" * limits.MAX_REQUEST_BYTES + b'"}'
    assert fields(await pool.request("ops.submit", body)) == {"(body)"}


@pytest.mark.parametrize("actor", ["x" * 129, "naïve", "two\nlines", "nul\0", "tab\t"])
async def test_an_actor_that_cannot_be_recorded_is_refused(pool: PoolHarness, actor: str) -> None:
    reply = await pool.request("ops.submit", headers={"Custody-Actor": actor})
    assert fields(reply) == {"Custody-Actor"}


async def test_an_actor_is_recorded_as_it_names_itself(pool: PoolHarness) -> None:
    for actor in ("ci", "", "a b/c.d:e"):
        assert (await pool.request("ops.submit", headers={"Custody-Actor": actor})).ok
    assert [r.actor for r in pool.records()[-3:]] == ["ops/ci", "ops", "ops/a b/c.d:e"]


async def test_an_agent_does_not_speak_as_another_by_a_header(pool: PoolHarness) -> None:
    await pool.request("agent.a.register", headers={"Custody-Actor": "b"})
    assert pool.records()[-1].actor == "agent/a"


@pytest.mark.parametrize(
    "reply",
    [
        "custody.p.evt.task.T.cancelled",
        "custody.p.ops.submit",
        "INBOX.1",
        "$JS.API.INFO",
        "_INBOX",
        "_INBOXfoo",
        "_INBOX_a.1",
        "_INBOX.writer.aB3.1",
        "_INBOX.responder.x",
        "x.\x1b]0;title\x07",
    ],
)
async def test_a_reply_subject_outside_the_inboxes_is_not_carried_out(
    pool: PoolHarness, reply: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = pool.post("ops.submit", reply=reply)
    await pool.rest()
    assert asked.replies == []
    assert "submitted" not in pool.names()
    assert pool.service.commands.refused_replies == 1
    assert "dropped a request" in caplog.text
    assert "\x1b" not in caplog.text


async def test_such_requests_do_not_flood_the_logs_of_the_service(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1_000):
        pool.post("ops.submit", reply="custody.p.ops.submit")
    assert pool.service.commands.refused_replies == 1_000
    assert caplog.text.count("dropped a request") == 10


async def test_without_a_reply_subject_a_command_is_carried_out(pool: PoolHarness) -> None:
    for subject, body in [("ops.submit", b'{"task_id": "T"}'), ("ops.submit", b"{"), ("query.tasks", b"{}")]:
        pool.post(subject, body, reply="")
    await pool.rest()
    assert pool.task("T").status == "queued"
    repeated = pool.post("ops.cancel", {"task_id": "T", "command_id": "same"}, reply="")
    pool.post("ops.cancel", {"task_id": "T", "command_id": "same"}, reply="")
    await pool.rest()
    assert isinstance(repeated, Asked)
    assert pool.names().count("cancelled") == 1


async def test_a_fault_in_taking_a_request_costs_that_request(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pool.service.commands, "_command", broken)
    assert (await pool.request("ops.submit")).code == "unavailable"
    monkeypatch.undo()
    assert (await pool.request("ops.submit")).ok
    assert "could not take a request" in caplog.text


async def test_errors_come_in_the_order_of_the_contract(pool: PoolHarness) -> None:
    assert (await pool.request("agent.x.start", HOLD)).code == "unknown_agent"
    await pool.register("x")
    assert (await pool.request("agent.x.start", HOLD)).code == "unknown_task"
    token = await pool.holds("a", "T")
    assert (await pool.request("agent.x.start", HOLD)).code == "stale_token"
    refused = await pool.request("agent.x.start", {"task_id": "T", "token": token})
    assert refused.code == "not_holder"
    assert refused.headers["Nats-Service-Error-Code"] == "403"
    assert (await pool.request("ops.unblock", {"task_id": "T"})).code == "illegal_transition"
    await pool.given("agent.a.complete", task_id="T", token=token)
    assert (await pool.request("agent.x.start", HOLD)).code == "task_finished"


async def test_of_very_many_wrong_fields_the_first_are_named_and_the_rest_counted(pool: PoolHarness) -> None:
    reply = await pool.request("ops.submit", {f"{number:x}": 1 for number in range(20_000)})
    assert reply.code == "invalid_command"
    assert len(reply["error"]["details"]["fields"]) == 50
    assert reply["error"]["message"].endswith("; and 19950 more")
    assert len(reply.raw) < 10_000
