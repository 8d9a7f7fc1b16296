"""Each user's permissions, on a real broker."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext

from handlers.ports import AppendRejectedError, NewMessage
from handlers.projector.read_model import Watermark
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import agent_user, projector_user
from infra.nats.api import JetStreamApi
from infra.nats.connection import connect as infra_connect
from infra.nats.event_log import NatsEventLog
from infra.nats.kv_read_model import KvReadModel
from infra.nats.stream import ensure_stream
from projections.read_models.document_projection import DocumentChanges
from tests.support.broker import Connect, settled

pytestmark = [pytest.mark.system]

ANSWER_S = 30
"""The library's own half second is not enough for a machine that is busy."""
VIOLATION = "permissions violation"
CYCLE = 10081
"""The error code for a consumer that would deliver into the stream that it reads."""
REFUSED_S = 0.3
"""How long a request is unanswered until it counts as refused: the broker drops it without an answer."""


@pytest.fixture
async def stream(connect: Connect, pool: str) -> JetStreamContext:
    context = (await connect("writer")).jetstream()
    await context.add_stream(
        StreamConfig(name=f"CUSTODY_{pool}", subjects=[f"custody.{pool}.evt.>"], allow_direct=True, allow_atomic=True)
    )
    return context


class Violations:
    """Collects what the broker refuses this connection, and no other error: a first try to connect may time out."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[str] = asyncio.Queue()

    async def record(self, error: Exception) -> None:
        if VIOLATION in (said := str(error).lower()):
            await self.seen.put(said)

    async def next(self) -> str:
        return await asyncio.wait_for(self.seen.get(), ANSWER_S)


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("writer", "_INBOX.x"),
        ("writer", "custody.{pool}.ops.submit"),
        ("writer", "custody.{pool}.feed.x"),
        ("writer", "$JS.API.STREAM.DELETE.CUSTODY_{pool}"),
        ("writer", "$JS.API.STREAM.PURGE.CUSTODY_{pool}"),
        ("writer", "$JS.API.STREAM.UPDATE.CUSTODY_{pool}"),
        ("writer", "$JS.API.STREAM.MSG.DELETE.CUSTODY_{pool}"),
        ("responder", "custody.{pool}.evt.task.T1.leased"),
        ("responder", "$JS.API.STREAM.INFO.CUSTODY_{pool}"),
        ("operator", "custody.{pool}.evt.task.T1.leased"),
        ("operator", "$JS.API.STREAM.CREATE.CUSTODY_{pool}"),
        ("operator", "$JS.API.STREAM.UPDATE.CUSTODY_{pool}"),
        ("operator", "$JS.API.STREAM.DELETE.CUSTODY_{pool}"),
        ("operator", "$JS.API.STREAM.PURGE.CUSTODY_{pool}"),
        ("operator", "$JS.API.STREAM.MSG.DELETE.CUSTODY_{pool}"),
        ("operator", "_INBOX.x"),
        *(
            (user, subject)
            for user in ("writer", "operator")
            for subject in (
                "$JS.API.DIRECT.GET.CUSTODY_{pool}",
                "$JS.API.DIRECT.GET.CUSTODY_{pool}.x",
                "$JS.API.CONSUMER.MSG.NEXT.CUSTODY_{pool}.c",
                "$JS.API.CONSUMER.DURABLE.CREATE.CUSTODY_{pool}.c",
                "$JS.ACK.CUSTODY_{pool}.c.1.1.1.1.1",
            )
        ),
    ],
)
async def test_may_not_publish(connect: Connect, pool: str, user: str, subject: str) -> None:
    violations = Violations()
    client = await connect(user, error_cb=violations.record)
    target = subject.format(pool=pool)
    await client.publish(target, b"{}")
    await settled(client)
    refusal = await violations.next()
    assert "permissions violation for publish" in refusal
    assert target.lower() in refusal


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("writer", "custody.{pool}.ops.>"),
        ("responder", "custody.{pool}.evt.>"),
        ("operator", "custody.{pool}.evt.>"),
        ("operator", "custody.{pool}.ops.>"),
    ],
)
async def test_may_not_subscribe(connect: Connect, pool: str, user: str, subject: str) -> None:
    violations = Violations()
    client = await connect(user, error_cb=violations.record)
    await client.subscribe(subject.format(pool=pool))
    await settled(client)
    assert "permissions violation for subscription" in await violations.next()


async def test_an_operator_reads_the_log(connect: Connect, stream: JetStreamContext, pool: str) -> None:
    subject = f"custody.{pool}.evt.pool.{pool}.opened"
    await stream.publish(subject, b"{}")
    reader = (await connect("operator")).jetstream()
    assert (await reader.get_msg(f"CUSTODY_{pool}", seq=1)).subject == subject
    subscription = await reader.subscribe(f"custody.{pool}.evt.>", ordered_consumer=True)
    assert (await subscription.next_msg(ANSWER_S)).subject == subject


async def test_a_reader_cannot_have_the_broker_delete_a_log(
    connect: Connect, stream: JetStreamContext, pool: str
) -> None:
    """The broker sends the result of a direct get to the reply subject, where it handles it as a request of its own."""
    violations = Violations()
    operator = await connect("operator", error_cb=violations.record)
    delete = f"$JS.API.STREAM.DELETE.CUSTODY_{pool}"
    await operator.publish(f"$JS.API.DIRECT.GET.CUSTODY_{pool}", b'{"seq":9}', reply=delete)
    assert "permissions violation for publish" in await violations.next()
    for verb, body in (("STREAM.INFO", b""), ("STREAM.MSG.GET", b'{"seq":9}'), ("CONSUMER.LIST", b"")):
        await operator.publish(f"$JS.API.{verb}.CUSTODY_{pool}", body, reply=delete)
    await operator.flush()
    assert (await stream.stream_info(f"CUSTODY_{pool}")).state.messages == 0


async def test_a_consumer_may_not_deliver_into_its_own_log(
    connect: Connect, stream: JetStreamContext, pool: str
) -> None:
    operator = await connect("operator")
    config = {"deliver_subject": f"custody.{pool}.evt.task.T1.leased", "ack_policy": "none"}
    request = json.dumps({"stream_name": f"CUSTODY_{pool}", "config": config}).encode()
    answer = json.loads((await operator.request(f"$JS.API.CONSUMER.CREATE.CUSTODY_{pool}", request, ANSWER_S)).data)
    assert answer["error"]["err_code"] == CYCLE


async def test_an_operator_commands_and_the_responder_answers(connect: Connect, pool: str) -> None:
    responder, operator = await connect("responder"), await connect("operator")
    await responder.subscribe(f"custody.{pool}.query.>", queue="q", cb=answer(responder))
    await settled(responder)
    assert (await operator.request(f"custody.{pool}.query.health", b"{}", ANSWER_S)).data == b"pong"


async def test_a_reply_subject_in_the_log_appends_nothing(
    connect: Connect, stream: JetStreamContext, pool: str
) -> None:
    violations = Violations()
    responder, operator = await connect("responder", error_cb=violations.record), await connect("operator")
    await responder.subscribe(f"custody.{pool}.ops.>", cb=answer(responder))
    await settled(responder)
    await operator.publish(f"custody.{pool}.ops.submit", b"{}", reply=f"custody.{pool}.evt.task.T1.leased")
    assert "permissions violation for publish" in await violations.next()
    assert (await stream.stream_info(f"CUSTODY_{pool}")).state.messages == 0


async def test_an_agent_speaks_only_as_itself(tmp_path: Path, pool: str) -> None:
    users = (agent_user(pool, "a1", name="a1"),)
    async with EmbeddedBroker(tmp_path, BrokerOptions(sync_interval="2m", extra_users=users)) as broker:
        responder = await nats.connect(broker.url, **broker.credentials("responder"), inbox_prefix=b"_INBOX.responder")
        await responder.subscribe(f"custody.{pool}.agent.>", cb=answer(responder))
        await settled(responder)
        agent = await nats.connect(
            broker.url, **broker.credentials("a1"), inbox_prefix=b"_INBOX.a1", error_cb=Violations().record
        )
        assert (await agent.request(f"custody.{pool}.agent.a1.claim", b"{}", ANSWER_S)).data == b"pong"
        with pytest.raises(nats.errors.TimeoutError):
            await agent.request(f"custody.{pool}.agent.a2.claim", b"{}", timeout=REFUSED_S)
        await agent.close()
        await responder.close()


async def test_a_projector_reads_one_log_and_writes_one_bucket(tmp_path: Path, pool: str) -> None:
    users = (projector_user(pool),)
    async with EmbeddedBroker(tmp_path, BrokerOptions(sync_interval="2m", extra_users=users)) as broker:
        writer = await infra_connect(broker.url, name="test", auth=broker.auth("writer"))
        await ensure_stream(writer, pool)
        log = await NatsEventLog.open(writer, pool)
        subject = f"custody.{pool}.evt.pool.{pool}.opened"
        await log.append([NewMessage(subject, b"{}")], expected_position=0)
        await log.close()
        await writer.close()

        own = await infra_connect(broker.url, name="test", auth=broker.auth("projector"))
        refused: list[str] = []
        own.violated.add(lambda violation: refused.append(violation.subject))
        log = await NatsEventLog.open(own, pool)
        chunks = log.follow_chunks(after=0)
        assert [each.subject for each in await anext(chunks)] == [subject]
        await chunks.aclose()
        views = KvReadModel(JetStreamApi(own), pool)
        changes = DocumentChanges({"lease.t1": b"{}", "lease.t2": b"{}"}, replace_all=True)
        await views.write(changes, await views.watermark(), Watermark(1, "hash", "first"))
        assert (await views.watermark()).position == 1
        assert refused == []
        with pytest.raises(AppendRejectedError):
            await log.append([NewMessage(subject, b"{}")], expected_position=1)
        await log.close()
        await own.close()


def answer(client: Client) -> Callable[[Msg], Awaitable[None]]:
    async def reply(message: Msg) -> None:
        await client.publish(message.reply, b"pong")

    return reply
