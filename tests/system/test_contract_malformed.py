"""Messages that the broker passes on and a client library may fail on. None of them may end the reading of requests."""

import json

import pytest
from nats.aio.client import Client

from tests.support.broker import Connect, settled
from tests.system.caller import Caller, Reply, check_form
from tests.system.streams import happened, last_position

pytestmark = pytest.mark.system

PATIENCE_S = 15.0
"""What a connection does not read is lost: no answer comes, also when the connection is given up and made anew."""


async def send(nc: Client, subject: bytes, reply: bytes, header: bytes | None = None, body: bytes = b"{}") -> None:
    """Write a publish as it stands; the library would refuse to."""
    if header is None:
        line = b"PUB %b %b %d\r\n" % (subject, reply, len(body))
    else:
        line = b"HPUB %b %b %d %d\r\n%b" % (subject, reply, len(header), len(header) + len(body), header)
    await nc._send_command(line + body + b"\r\n")
    await settled(nc)


async def answer(nc: Client, subject: bytes, header: bytes | None = None) -> Reply:
    inbox = nc.new_inbox()
    subscription = await nc.subscribe(inbox)
    await send(nc, subject, inbox.encode(), header)
    message = await subscription.next_msg(timeout=PATIENCE_S)
    await subscription.unsubscribe()
    reply = Reply(json.loads(message.data), dict(message.headers or {}))
    check_form(reply)
    return reply


async def still_hears(ask: Caller) -> None:
    await ask.ask("query.health", patience_s=PATIENCE_S)


HEADERS = [
    b"garbage",
    b"\r\n",
    b"NATS/1.0",
    b"NATS/1.0\r\n",
    b"NATS/1.0 999 x\r\n\r\n",
    b"NATS/1.0 \xff\xff\xff\r\n\r\n",
    b"NATS/1.0 503\xff\r\n\r\n",
    b"NATS/1.0\r\n\xff\xfe: \xff\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0\r\n: no name\r\n\r\n",
    b"NATS/1.0\r\nStatus: 503\r\n\r\n",
    b"NATS/1.0\r\n\x00: \x00\r\n\r\n",
]


async def test_headers_of_every_kind_leave_the_service_listening(ask: Caller, pool: str) -> None:
    for header in HEADERS:
        await answer(ask.nc, b"custody.%b.ops.submit" % pool.encode(), header)
        await still_hears(ask)


@pytest.mark.parametrize(
    "actor",
    [b"Custody-Actor: \xff", b"Custody-Actor: a\x00b", b"Custody-Actor: " + b"x" * 129, b"Custody-Actor: \xe2\x98\x83"],
)
async def test_an_ill_formed_actor_is_refused_by_name(ask: Caller, pool: str, actor: bytes) -> None:
    at = await last_position(ask.nc, pool)
    reply = await answer(ask.nc, b"custody.%b.ops.submit" % pool.encode(), b"NATS/1.0\r\n" + actor + b"\r\n\r\n")
    assert (reply.code, reply.fields) == ("invalid_command", {"Custody-Actor"})
    assert await happened(ask.nc, pool, after=at) == []


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", b"\xed\xa0\x80", b"a\x0bb", b"a\x0cb", b"a\x1cb", b"a\x00b", b"\xc2\x85"]
)
async def test_a_subject_of_any_bytes_gets_its_refusal(ask: Caller, pool: str, name: bytes) -> None:
    at = await last_position(ask.nc, pool)
    for kind, field in ((b"ops.", "verb"), (b"query.", "view"), (b"agent.a1.", "verb")):
        reply = await answer(ask.nc, b"custody.%b." % pool.encode() + kind + name)
        assert (reply.code, reply.fields) == ("invalid_command", {field})
    reply = await answer(ask.nc, b"custody.%b.agent.%b.claim" % (pool.encode(), name))
    assert (reply.code, reply.fields) == ("invalid_command", {"agent"})
    await still_hears(ask)
    assert await happened(ask.nc, pool, after=at) == []


REPLIES = [
    *(b"_INBOX.\xff", b"_INBOX.a\x0bb", b"_INBOX.a\x0cb", b"_INBOX.*", b"_INBOX.>", b"_INBOX", b"_INBOX.x."),
    b"_INBOX..x",
]


@pytest.mark.parametrize("reply", REPLIES)
async def test_a_reply_subject_of_any_bytes_harms_only_its_sender(
    ask: Caller, connect: Connect, pool: str, reply: bytes
) -> None:
    await send(ask.nc, b"custody.%b.ops.submit" % pool.encode(), reply, body=b'{"task_id":"T1"}')
    await still_hears(ask)
    assert set(await happened(await connect(), pool, after=0)) <= {"pool.opened", "pool.led", "task.submitted"}


async def test_no_caller_can_make_the_pool_believe_in_an_outage(ask: Caller, connect: Connect, pool: str) -> None:
    await ask.lease(task_id="T1")
    at = await last_position(await connect(), pool)
    await send(ask.nc, b"custody.%b.ops.submit" % pool.encode(), b"", header=b"garbage", body=b"nonsense")
    await send(ask.nc, b"custody.%b.ops.\x0b" % pool.encode(), b"")
    await send(ask.nc, b"custody.%b.ops.\xff" % pool.encode(), b"")
    await still_hears(ask)
    assert await last_position(await connect(), pool) == at, "no rearmed event"
