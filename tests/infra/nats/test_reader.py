"""Readers under restarts, gaps, slow callers and logs that lost their tail."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handlers.ports import LogMissingError, LogTruncatedError, LogUnavailableError, NewMessage
from infra.broker.embedded import EmbeddedBroker
from infra.nats import reader as reader_module
from infra.nats.api import JetStreamApi
from infra.nats.connection import NatsConnection, connect
from infra.nats.event_log import NatsEventLog
from infra.nats.reader import StreamReader
from infra.nats.stream import StreamSettings, ensure_stream, stream_config, stream_name
from tests.infra.nats.conftest import POOL
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
async def connection(broker_with_log: EmbeddedBroker) -> AsyncIterator[NatsConnection]:
    opened = await connect(broker_with_log.url, name="test")
    yield opened
    await opened.close()


@pytest.fixture
async def log(connection: NatsConnection) -> NatsEventLog:
    return await NatsEventLog.open(connection, POOL)


def events(count: int, size_bytes: int = 10) -> list[NewMessage]:
    return [NewMessage(f"custody.{POOL}.evt.task.T{number}.queued", bytes(size_bytes)) for number in range(count)]


async def consumers(connection: NatsConnection) -> int:
    return int((await JetStreamApi(connection).call(f"STREAM.INFO.{stream_name(POOL)}"))["state"]["consumer_count"])


async def come_to(connection: NatsConnection, count: int) -> None:
    """Wait until the stream has so many consumers. The broker deletes them with a delay."""
    async with asyncio.timeout(30):
        while await consumers(connection) != count:
            pass


async def test_a_follower_lives_through_stops_and_kills_of_the_broker(
    broker_with_log: EmbeddedBroker, connection: NatsConnection, log: NatsEventLog
) -> None:
    positions: list[int] = []
    await log.append(events(3), expected_position=0)
    async for message in log.follow(after=0):
        positions.append(message.position)
        if len(positions) in (3, 6):
            await (broker_with_log.stop() if len(positions) == 3 else broker_with_log.kill())
            await broker_with_log.start()
            assert await connection.wait_connected()
            await log.append(events(3), expected_position=len(positions))
        if len(positions) == 9:
            break
    assert positions == list(range(1, 10))


async def test_a_read_goes_on_after_the_broker_was_away(broker_with_log: EmbeddedBroker, log: NatsEventLog) -> None:
    size_bytes = 900_000
    for position in range(0, 30, 10):
        await log.append(events(10, size_bytes), expected_position=position)

    positions: list[int] = []
    async for chunk in log.read(after=0, until=30):
        if not positions:
            await broker_with_log.kill()
            await broker_with_log.start()
        positions += [message.position for message in chunk]
    assert positions == list(range(1, 31))


async def test_a_read_gives_up_on_a_broker_that_stays_away(
    broker_with_log: EmbeddedBroker, connection: NatsConnection, log: NatsEventLog
) -> None:
    await log.append(events(3), expected_position=0)
    await broker_with_log.stop()
    reader = StreamReader(JetStreamApi(connection), stream_name(POOL), timeout_s=0.1)

    with pytest.raises(LogUnavailableError, match=r"nothing came after position 0 for 0\.1 s"):
        async for _ in reader.until(3):
            pass


async def test_deliveries_that_get_lost_are_fetched_again(broker_with_log: EmbeddedBroker, log: NatsEventLog) -> None:
    await log.append(events(500, 1_000), expected_position=0)
    async with TcpProxy(broker_with_log.url) as proxy:
        connection = await connect(proxy.url, name="test")
        other = await NatsEventLog.open(connection, POOL)
        positions: list[int] = []
        async for message in other.follow(after=0):
            positions.append(message.position)
            if message.position == 250:
                proxy.cut()
            if message.position == 500:
                break
        assert positions == list(range(1, 501))
        await connection.close()


async def test_silence_makes_a_follower_ask_again(connection: NatsConnection, log: NatsEventLog) -> None:
    await log.append(events(1), expected_position=0)
    following = log.follow(after=0)
    assert (await anext(following)).position == 1

    # The consumer disappears silently. A restart would delete it, too, but the connection would notice.
    api = JetStreamApi(connection)
    names = (await api.call(f"CONSUMER.NAMES.{stream_name(POOL)}"))["consumers"]
    await api.call(f"CONSUMER.DELETE.{stream_name(POOL)}.{names[0]}")
    await log.append(events(1), expected_position=1)

    assert (await anext(following)).position == 2
    await following.aclose()


async def test_closing_the_connection_ends_its_readers(connection: NatsConnection, log: NatsEventLog) -> None:
    await log.append(events(1), expected_position=0)
    following = log.follow(after=0)
    await anext(following)
    waiting = asyncio.create_task(anext(following))
    await connection.close()

    with pytest.raises(LogUnavailableError, match="was closed"):
        await waiting
    with pytest.raises(LogUnavailableError):
        await anext(log.follow(after=0))
    with pytest.raises(LogUnavailableError):
        await anext(log.read(after=0, until=1))


async def test_a_slow_taker_makes_the_broker_wait(
    connection: NatsConnection, log: NatsEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for position in range(0, 60, 10):
        await log.append(events(10, 1_000_000), expected_position=position)
    reader = StreamReader(JetStreamApi(connection), stream_name(POOL))
    chunks = reader.until(60)
    taken = await anext(chunks)

    delivery = reader._delivery  # noqa: SLF001 - only here it shows that the broker asks and waits
    assert delivery is not None
    stalled = asyncio.Event()
    asked: list[str] = []
    on_status = delivery._on_status  # noqa: SLF001 - same

    def note_repeats(flow_reply: str | None) -> None:
        on_status(flow_reply)
        if flow_reply in asked:
            stalled.set()
        elif flow_reply:
            asked.append(flow_reply)

    monkeypatch.setattr(delivery, "_on_status", note_repeats)
    await stalled.wait()
    assert len(taken) + len(delivery.buffer) < 60

    positions = [message.position for message in taken] + [m.position async for chunk in chunks for m in chunk]
    assert positions == list(range(1, 61))


async def test_the_broker_sends_no_more_than_is_wanted(connection: NatsConnection, log: NatsEventLog) -> None:
    await log.append(events(9), expected_position=0)
    api = JetStreamApi(connection)
    reader = StreamReader(api, stream_name(POOL), after=2, at_most=4)
    chunks = reader.follow_chunks()
    positions: list[int] = []
    while len(positions) < 4:
        positions += [message.position for message in await anext(chunks)]

    delivery = reader._delivery  # noqa: SLF001 - only here it shows which consumer is its own
    assert delivery is not None
    told = await api.call(f"CONSUMER.INFO.{stream_name(POOL)}.{delivery.consumer}")
    await chunks.aclose()
    assert positions == [3, 4, 5, 6]
    assert (told["num_ack_pending"], told["num_pending"]) == (4, 3)


async def test_nothing_is_left_behind_on_the_broker(
    connection: NatsConnection, log: NatsEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as the broker allows, and longer than the test waits: what is gone by then was deleted, not abandoned.
    monkeypatch.setattr(reader_module, "_IDLE_S", 300)
    await log.append(events(5), expected_position=0)
    await log.last_position()  # the client's own subscription for answers stays
    subscriptions = len(connection.client._subs)  # noqa: SLF001 - the library shows them nowhere else

    assert [chunk async for chunk in log.read(after=0, until=5)]
    assert await log.history(f"custody.{POOL}.evt.>")
    following = log.follow(after=0)
    await anext(following)
    await come_to(connection, 1)
    await following.aclose()

    await come_to(connection, 0)
    assert len(connection.client._subs) == subscriptions  # noqa: SLF001 - same


async def test_a_follower_of_a_log_that_lost_its_tail_is_told(
    broker_with_log: EmbeddedBroker, connection: NatsConnection, log: NatsEventLog, tmp_path: Path
) -> None:
    await log.append(events(3), expected_position=0)
    await broker_with_log.stop()
    shutil.copytree(broker_with_log.directory.broker, tmp_path / "earlier", ignore=shutil.ignore_patterns("*.ports"))
    await broker_with_log.start()
    assert await connection.wait_connected()
    await log.append(events(3), expected_position=3)
    following = log.follow(after=0)
    assert [(await anext(following)).position for _ in range(6)] == [1, 2, 3, 4, 5, 6]

    await broker_with_log.kill()
    shutil.rmtree(broker_with_log.directory.broker / "jetstream")
    shutil.copytree(tmp_path / "earlier" / "jetstream", broker_with_log.directory.broker / "jetstream")
    await broker_with_log.start()

    with pytest.raises(LogTruncatedError, match="ends at position 3, before 6"):
        await anext(following)


async def replace_stream(connection: NatsConnection, messages: list[NewMessage]) -> None:
    """Delete the stream, and make another one of the same name."""
    await JetStreamApi(connection).call(f"STREAM.DELETE.{stream_name(POOL)}")
    await ensure_stream(connection, POOL)
    log = await NatsEventLog.open(connection, POOL)
    await log.append(messages, expected_position=0)
    await log.close()


@pytest.mark.parametrize("read", [3, 0], ids=["after some messages", "before the first message"])
async def test_a_follower_recognises_a_stream_that_took_the_place_of_its_own(
    connection: NatsConnection, log: NatsEventLog, read: int
) -> None:
    await log.append(events(3), expected_position=0)
    following = log.follow(after=3 - read)
    assert [(await anext(following)).position for _ in range(read)] == [1, 2, 3][:read]
    waiting = asyncio.ensure_future(anext(following))
    await come_to(connection, 1)

    await replace_stream(connection, events(9, size_bytes=11))

    with pytest.raises(LogTruncatedError, match="CUSTODY_p was replaced: at position 3 it holds another message"):
        await waiting


async def test_a_follower_goes_on_with_a_stream_that_was_restored(
    connection: NatsConnection, log: NatsEventLog
) -> None:
    await log.append(events(3), expected_position=0)
    following = log.follow(after=0)
    assert [(await anext(following)).position for _ in range(3)] == [1, 2, 3]
    waiting = asyncio.ensure_future(anext(following))

    await replace_stream(connection, events(4))

    assert (await waiting).position == 4
    await following.aclose()


async def test_a_follower_of_a_stream_that_was_deleted_ends(connection: NatsConnection, log: NatsEventLog) -> None:
    await log.append(events(1), expected_position=0)
    following = log.follow(after=0)
    assert (await anext(following)).position == 1
    await JetStreamApi(connection).call(f"STREAM.DELETE.{stream_name(POOL)}")

    with pytest.raises(LogMissingError, match="stream not found"):
        await anext(following)


async def test_a_restored_log_is_read_from_its_first_position(connection: NatsConnection) -> None:
    api = JetStreamApi(connection)
    config = {**stream_config("r", StreamSettings()), "first_seq": 1_000}
    await api.call("STREAM.CREATE.CUSTODY_r", config)
    log = await NatsEventLog.open(connection, "r")
    messages = [NewMessage("custody.r.evt.task.T1.noted", b"%d" % number) for number in range(3)]
    assert await log.append(messages, expected_position=999) == 1_002

    read = [message async for chunk in log.read(after=0, until=1_002) for message in chunk]
    assert [message.position for message in read] == [1_000, 1_001, 1_002]
    assert [message.position for message in await log.history("custody.r.evt.>")] == [1_000, 1_001, 1_002]
