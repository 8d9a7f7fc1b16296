"""The log on a real broker under faults: what is known of an append's outcome, and how the outcome is found out."""

import asyncio
import json
from typing import Any

import pytest

from handlers.ports import (
    AppendConflictError,
    AppendRefusedError,
    AppendRejectedError,
    LogError,
    LogUnavailableError,
    NewMessage,
    OutcomeUnknownError,
)
from infra.broker.embedded import EmbeddedBroker
from infra.nats.connection import NatsConnection, connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from tests.infra.nats.conftest import POOL
from tests.support.broker import frozen, settled
from tests.support.tcp_proxy import TcpProxy


def events(count: int, pool: str = POOL, size_bytes: int = 100) -> list[NewMessage]:
    return [
        NewMessage(f"custody.{pool}.evt.task.T{number}.queued", bytes(size_bytes), {"Custody-Hash": f"{number:064}"})
        for number in range(count)
    ]


async def opened(url: str, **timeouts: Any) -> tuple[NatsConnection, NatsEventLog]:
    connection = await connect(url, name="test")
    return connection, await NatsEventLog.open(connection, POOL, **timeouts)


async def bodies(log: NatsEventLog) -> list[str]:
    stored = [message async for chunk in log.read(after=0, until=await log.last_position()) for message in chunk]
    return [message.headers["Custody-Hash"] for message in stored]


@pytest.mark.parametrize("count", [1, 3])
async def test_what_a_killed_broker_never_read_is_unknown_then_found_missing_and_sent_again(
    broker_with_log: EmbeddedBroker, count: int
) -> None:
    connection, log = await opened(broker_with_log.url)
    with frozen(broker_with_log):
        appending = asyncio.create_task(log.append(events(count), expected_position=0))
        await asyncio.sleep(0)
        await broker_with_log.kill()

    with pytest.raises(OutcomeUnknownError):
        await appending

    await broker_with_log.start()
    assert await connection.wait_connected()
    assert await log.get(1) is None
    assert await log.append(events(count), expected_position=0) == count
    await connection.close()


@pytest.mark.parametrize("count", [1, 3])
async def test_what_was_stored_without_an_answer_is_unknown_then_a_conflict_then_found(
    broker_with_log: EmbeddedBroker, count: int
) -> None:
    async with TcpProxy(broker_with_log.url) as proxy:
        connection, log = await opened(proxy.url)
        proxy.drop_answers()
        appending = asyncio.create_task(log.append(events(count), expected_position=0))
        await proxy.dropped.wait()
        proxy.cut()
        with pytest.raises(OutcomeUnknownError):
            await appending

        assert await connection.wait_connected()
        with pytest.raises(AppendConflictError):
            await log.append(events(count), expected_position=0)
        found = await log.get(1)
        assert found is not None
        assert found.headers == events(1)[0].headers
        assert await bodies(log) == [event.headers["Custody-Hash"] for event in events(count)]
        await connection.close()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_half_a_batch_is_no_batch(broker_with_log: EmbeddedBroker, share: float) -> None:
    async with TcpProxy(broker_with_log.url) as proxy:
        connection, log = await opened(proxy.url)
        proxy.cut_after(int(share * 100 * 1_000))
        with pytest.raises(OutcomeUnknownError):
            await log.append(events(100, size_bytes=1_000), expected_position=0)

        assert await connection.wait_connected()
        assert await log.last_position() == 0
        assert await log.append(events(2), expected_position=0) == 2
        await connection.close()


async def test_an_append_that_timed_out_may_still_arrive(broker_with_log: EmbeddedBroker) -> None:
    connection, log = await opened(broker_with_log.url, append_timeout_s=0.1)
    with frozen(broker_with_log), pytest.raises(OutcomeUnknownError, match=r"within 0\.1 s"):
        await log.append(events(2), expected_position=0)

    following = log.follow(after=0)
    assert [(await anext(following)).position for _ in range(2)] == [1, 2]
    await following.aclose()
    await connection.close()


async def test_without_a_connection_nothing_is_kept_for_later(broker_with_log: EmbeddedBroker) -> None:
    connection, log = await opened(broker_with_log.url)
    lost = asyncio.Event()
    connection.disconnected.add(lost.set)
    await broker_with_log.stop()
    await lost.wait()

    for count in (1, 2):
        with pytest.raises(LogUnavailableError):
            await log.append(events(count), expected_position=0)
    for reading in (log.last_position(), log.get(1), log.last_by_subject("x"), log.history("x")):
        with pytest.raises(LogUnavailableError):
            await reading

    await broker_with_log.start()
    assert await connection.wait_connected()
    assert await log.append(events(1), expected_position=0) == 1
    await connection.close()


async def test_a_pool_without_a_stream_is_unavailable_and_an_append_to_it_of_unknown_outcome(
    broker_with_log: EmbeddedBroker,
) -> None:
    connection = await connect(broker_with_log.url, name="test")
    log = await NatsEventLog.open(connection, "other")

    with pytest.raises(OutcomeUnknownError, match=r"no stream takes custody\.other\.evt\.task\.T0\.queued"):
        await log.append(events(1, pool="other"), expected_position=0)
    with pytest.raises(OutcomeUnknownError, match="no stream takes"):
        await log.append(events(2, pool="other"), expected_position=0)
    with pytest.raises(LogUnavailableError, match="stream not found"):
        await log.last_position()
    with pytest.raises(LogUnavailableError, match="stream not found"):
        await log.get(1)
    await connection.close()


async def test_a_closed_log_leaves_no_one_waiting(broker_with_log: EmbeddedBroker) -> None:
    connection, log = await opened(broker_with_log.url)
    with frozen(broker_with_log):
        appending = asyncio.create_task(log.append(events(1), expected_position=0))
        await asyncio.sleep(0)
        await log.close()

    with pytest.raises(OutcomeUnknownError, match="closed"):
        await appending
    await log.close()
    await connection.close()


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_who_may_not_append_is_told_at_once(broker: EmbeddedBroker, pool: str, count: int) -> None:
    writer = await connect(broker.url, name="test", auth=broker.auth("writer"))
    await ensure_stream(writer, pool)
    reader = await connect(broker.url, name="test", auth=broker.auth("operator"))
    log = await NatsEventLog.open(reader, pool, append_timeout_s=60)

    with pytest.raises(AppendRejectedError, match="does not allow a publish to"):
        await log.append(events(count, pool), expected_position=0)

    assert await log.last_position() == 0
    await reader.close()
    await writer.close()


async def test_the_feed_carries_what_was_accepted_and_nothing_else(broker: EmbeddedBroker, pool: str) -> None:
    writer = await connect(broker.url, name="test", auth=broker.auth("writer"))
    observer = await connect(broker.url, name="test", auth=broker.auth("operator"))
    await ensure_stream(writer, pool)
    log = await NatsEventLog.open(writer, pool)
    feed = await observer.client.subscribe(f"custody.{pool}.feed.>")
    await settled(observer.client)

    for count in (1, 3):
        with pytest.raises(AppendConflictError):
            await log.append(events(count, pool), expected_position=9)
    await log.append(events(1, pool), expected_position=0)
    await log.append(events(3, pool), expected_position=1)

    heard = [await feed.next_msg(timeout=30) for _ in range(4)]
    assert [(message.headers or {})["Nats-Sequence"] for message in heard] == ["1", "2", "3", "4"]
    assert [message.subject for message in heard] == [
        event.subject.replace(".evt.", ".feed.") for event in [*events(1, pool), *events(3, pool)]
    ]
    assert [message.data for message in heard] == [bytes(100)] * 4
    await observer.close()
    await writer.close()


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (b"", OutcomeUnknownError),
        (b"thanks", OutcomeUnknownError),
        (b"[]", OutcomeUnknownError),
        (b'{"stream": "CUSTODY_pool", "seq": 8}', OutcomeUnknownError),
        (b'{"stream": "OTHER", "seq": 9, "batch": "id", "count": 2}', OutcomeUnknownError),
        (b'{"stream": "CUSTODY_pool", "seq": 9, "batch": "id", "count": 1}', OutcomeUnknownError),
        (b'{"stream": "CUSTODY_pool", "seq": 9, "batch": "other", "count": 2}', OutcomeUnknownError),
        (b'{"stream": "CUSTODY_pool", "seq": 8, "batch": "id", "count": 2}', OutcomeUnknownError),
        (b'{"stream": "CUSTODY_pool", "seq": 9, "batch": "id", "count": 2, "duplicate": true}', OutcomeUnknownError),
        (b'{"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence: 9"}}', AppendConflictError),
        (b'{"error": {"code": 400, "err_code": 10164, "description": "wrong last sequence"}}', AppendConflictError),
        (b'{"error": {"code": 400, "err_code": 10176, "description": "batch incomplete"}}', OutcomeUnknownError),
        (b'{"error": {"code": 503, "err_code": 10077, "description": "i/o error"}}', OutcomeUnknownError),
        (b'{"stream": "CUSTODY_pool", "seq": 9.0, "batch": "id", "count": 2}', OutcomeUnknownError),
        (b'{"stream": "CUSTODY_pool", "seq": "9", "batch": "id", "count": 2}', OutcomeUnknownError),
        (b'{"error": {"code": 503, "err_code": 10023, "description": "insufficient"}}', OutcomeUnknownError),
        (b'{"error": {"code": 429, "err_code": 10210, "description": "too many inflight"}}', OutcomeUnknownError),
        (b'{"error": {"code": 400, "err_code": 10054, "description": "message too large"}}', AppendRefusedError),
        (b'{"error": {"code": 400, "err_code": 10174, "description": "batches are off"}}', AppendRefusedError),
        (b'{"error": {"code": 400, "err_code": 10054}, "stream": "CUSTODY_pool", "seq": 0}', AppendRefusedError),
        (b'{"error": {"code": 400, "err_code": 10054}, "stream": "OTHER", "seq": 0}', OutcomeUnknownError),
        (b'{"type": "io.nats.jetstream.api.v1.x", "error": {"code": 400, "err_code": 10025}}', OutcomeUnknownError),
        (b'{"error": {"code": 400, "err_code": "10071"}}', OutcomeUnknownError),
        (b'{"error": {"code": "bad", "err_code": 10054}}', OutcomeUnknownError),
        (b'{"error": {"code": Infinity, "err_code": NaN}}', OutcomeUnknownError),
        (b'{"error": {"code": 400, "err_code": true}}', OutcomeUnknownError),
        (b'{"error": {}}', OutcomeUnknownError),
        (b'{"error": null}', OutcomeUnknownError),
        (b'{"error": "no"}', OutcomeUnknownError),
        (b'{"error": [400]}', OutcomeUnknownError),
    ],
    ids=lambda value: value.decode()[:80] if isinstance(value, bytes) else "",
)
async def test_an_answer_is_taken_for_what_it_says(
    broker: EmbeddedBroker, pool: str, answer: bytes, meaning: type[LogError]
) -> None:
    impostor = await connect(broker.url, name="test", auth=broker.auth("admin"))
    subscription = await impostor.client.subscribe(f"custody.{pool}.evt.>")
    await settled(impostor.client)
    connection = await connect(broker.url, name="test", auth=broker.auth("writer"))
    log = await NatsEventLog.open(connection, pool)

    appending = asyncio.create_task(log.append(events(2, pool), expected_position=7))
    _, commit = [await subscription.next_msg(timeout=30) for _ in range(2)]
    headers = commit.headers or {}
    assert headers["Nats-Batch-Commit"] == "1"
    batch_id = json.dumps(headers["Nats-Batch-Id"]).encode()
    await commit.respond(answer.replace(b"pool", pool.encode()).replace(b'"id"', batch_id))

    with pytest.raises(LogError) as caught:
        await appending
    assert type(caught.value) is meaning
    await connection.close()
    await impostor.close()


async def test_what_is_staged_travels_ahead_all_but_the_last(broker_with_log: EmbeddedBroker) -> None:
    connection, log = await opened(broker_with_log.url)
    seen = await connection.client.subscribe(f"custody.{POOL}.evt.>")
    messages = events(100)

    log.stage(messages, expected_position=0)

    ahead = [(await seen.next_msg(timeout=30)).headers or {} for _ in range(99)]
    assert [each["Nats-Batch-Sequence"] for each in ahead] == [str(number) for number in range(1, 100)]
    assert not any("Nats-Batch-Commit" in each for each in ahead)
    await log.append(messages, expected_position=0)
    assert ((await seen.next_msg(timeout=30)).headers or {})["Nats-Batch-Commit"] == "1"
    assert await bodies(log) == [f"{number:064}" for number in range(100)]
    await connection.close()


async def test_what_was_staged_on_a_connection_that_is_gone_is_sent_again(broker_with_log: EmbeddedBroker) -> None:
    connection, log = await opened(broker_with_log.url)
    messages = events(100)
    log.stage(messages, expected_position=0)
    await broker_with_log.kill()
    log.stage(messages, expected_position=0)
    await broker_with_log.start()
    assert await connection.wait_connected()

    assert await log.append(messages, expected_position=0) == 100
    await connection.close()


async def test_what_is_staged_in_vain_does_not_use_up_the_brokers_open_batches(broker_with_log: EmbeddedBroker) -> None:
    connection, log = await opened(broker_with_log.url)
    for _ in range(100):
        log.stage(events(100), expected_position=0)
    messages = events(100)
    log.stage(messages, expected_position=0)

    async with asyncio.timeout(5):
        assert await log.append(messages, expected_position=0) == 100
    await connection.close()
