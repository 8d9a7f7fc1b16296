"""The client with a responder that follows the contract, and with responders that do not."""

import json
from collections.abc import Callable

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.nats.connection import connect
from infra.nats.contract_client import CustodyClient, CustodyRefusedError, NoReplyError, NoServiceError
from tests.support.broker import Connect, settled
from tests.support.fake_broker import FakeBroker

Answer = Callable[[bytes], None]


@pytest.fixture
async def asker(connect: Connect) -> Client:
    return await connect("operator")


@pytest.fixture
async def answers(connect: Connect, pool: str) -> tuple[Answer, list[Msg]]:
    """Sets the reply to every request of the pool; the requests are kept."""
    client = await connect("responder")
    seen: list[Msg] = []
    reply = [b""]

    async def respond(message: Msg) -> None:
        seen.append(message)
        if reply[0]:
            await message.respond(reply[0])

    await client.subscribe(f"custody.{pool}.ops.>", cb=respond)
    await settled(client)
    return lambda body: reply.__setitem__(0, body), seen


async def test_a_reply_is_returned_parsed(asker: Client, pool: str, answers: tuple[Answer, list[Msg]]) -> None:
    answer, seen = answers
    answer(b'{"ok": true, "position": 3, "events": [], "result": {"task_id": "T"}}')
    reply = await CustodyClient(asker, pool).request("ops.submit", {"task_id": "T"}, actor="jo")
    assert reply["result"] == {"task_id": "T"}
    assert json.loads(seen[0].data) == {"task_id": "T"}
    assert seen[0].headers == {"Custody-Actor": "jo"}
    assert seen[0].reply.startswith("_INBOX")


async def test_a_refusal_is_raised_with_code_message_and_details(
    asker: Client, pool: str, answers: tuple[Answer, list[Msg]]
) -> None:
    answers[0](b'{"ok": false, "error": {"code": "paused", "message": "not now", "details": {"pool": "p"}}}')
    with pytest.raises(CustodyRefusedError) as refused:
        await CustodyClient(asker, pool).request("ops.assign")
    assert (refused.value.code, refused.value.message, refused.value.details) == ("paused", "not now", {"pool": "p"})
    assert refused.value.reply["ok"] is False


async def test_a_missing_service_is_named_with_pool_and_address(asker: Client, pool: str) -> None:
    with pytest.raises(
        NoServiceError, match=rf"for pool {pool} at nats://127\.0\.0\.1:\d+; start one with `custody up`"
    ):
        await CustodyClient(asker, pool).request("query.health")


@pytest.mark.parametrize(
    "body", [b"junk", b"[" * 60_000, b"[]", b"{}", b'{"ok": false}', b'{"ok": false, "error": {"code": 1}}']
)
async def test_what_is_no_reply_of_custody_is_unknown(
    body: bytes, asker: Client, pool: str, answers: tuple[Answer, list[Msg]]
) -> None:
    answers[0](body)
    with pytest.raises(NoReplyError, match="does not follow the contract"):
        await CustodyClient(asker, pool).request("ops.submit")


async def test_no_answer_in_time_is_unknown(asker: Client, pool: str, answers: tuple[Answer, list[Msg]]) -> None:
    with pytest.raises(NoReplyError, match=r"no reply to custody\..* within 0\.05 s"):
        await CustodyClient(asker, pool).request("ops.submit", timeout=0.05)


async def test_a_broker_that_cuts_the_connection_is_named_in_plain_words(pool: str) -> None:
    async with FakeBroker(cutting=True) as fake:
        connection = await connect(fake.url, name="test")
        try:
            with pytest.raises(NoReplyError, match=r"no reply to .* \(the connection was lost\)"):
                await CustodyClient(connection.client, pool).request("ops.submit", timeout=5)
        finally:
            await connection.close()
