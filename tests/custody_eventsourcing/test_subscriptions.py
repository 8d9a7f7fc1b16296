"""Subscriptions across restarts, in bulk, and after they are stopped."""

import asyncio
import threading
from pathlib import Path

import nats
import pytest
from eventsourcing.persistence import ApplicationRecorder, OperationalError, ProgrammingError, StoredEvent

from custody_eventsourcing import NatsFactory
from custody_eventsourcing.pools import PoolFactory
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.nats.api import JetStreamApi
from infra.nats.connection import connect
from infra.nats.stream import ensure_stream


@pytest.fixture
def recorder(factory: NatsFactory) -> ApplicationRecorder:
    return factory.application_recorder()


def insert(recorder: ApplicationRecorder, start: int, count: int) -> None:
    recorder.insert_events(
        [StoredEvent("a", version, f"topic{version % 2}", b"") for version in range(start, start + count)]
    )


async def test_a_subscription_lives_through_a_stop_and_a_kill_of_the_broker(tmp_path: Path) -> None:
    options = BrokerOptions(sync_interval="2m", enforce_users=False)
    async with EmbeddedBroker(tmp_path / "broker", options) as broker:
        factory = NatsFactory({"NATS_URL": broker.url})
        recorder = await asyncio.to_thread(factory.application_recorder)
        with recorder.subscribe() as subscription:
            seen = []
            for round_, end in enumerate((broker.stop, broker.kill, broker.stop)):
                await asyncio.to_thread(insert, recorder, 3 * round_, 3)
                seen += [(await asyncio.to_thread(next, subscription)).id for _ in range(3)]
                await end()
                await broker.start()
        assert seen == list(range(1, 10))
        await asyncio.to_thread(factory.close)


def test_more_than_a_slow_taker_can_hold(recorder: ApplicationRecorder) -> None:
    for start in range(0, 12_000, 1_000):
        insert(recorder, start, 1_000)
    with recorder.subscribe(gt=10) as subscription:
        assert next(subscription).id == 11
        threading.Event().wait(0.3)
        assert [next(subscription).id for _ in range(11_989)] == list(range(12, 12_001))


def test_topics_are_chosen(recorder: ApplicationRecorder) -> None:
    insert(recorder, 0, 6)
    with recorder.subscribe(topics=["topic1"]) as subscription:
        assert [next(subscription).id for _ in range(3)] == [2, 4, 6]


@pytest.mark.parametrize("pause_s", [0.0, 0.001, 0.003, 0.01, 0.1])
@pytest.mark.parametrize("by", ["stop", "close"])
def test_one_that_waits_in_vain_is_ended_from_another_thread(nats_env: dict[str, str], by: str, pause_s: float) -> None:
    for _ in range(5):
        factory = NatsFactory(nats_env)
        subscription = factory.application_recorder().subscribe()
        ended: list[object] = []
        waiting = threading.Thread(target=ended.extend, args=(subscription,), daemon=True)
        waiting.start()
        threading.Event().wait(pause_s)

        (subscription.stop if by == "stop" else factory.close)()

        waiting.join(60)
        assert not waiting.is_alive()
        assert ended == []
        factory.close()


def test_a_position_that_the_stream_never_had_is_an_error(recorder: ApplicationRecorder) -> None:
    insert(recorder, 0, 2)
    with (
        recorder.subscribe(gt=7) as subscription,
        pytest.raises(OperationalError, match="ends at position 2, before 7"),
    ):
        next(subscription)


async def deleted(broker: EmbeddedBroker, stream: str) -> None:
    client = await nats.connect(broker.url, **broker.credentials("admin"))
    assert await client.jetstream().delete_stream(stream)
    await client.close()


@pytest.mark.parametrize("again", [0, 2, 5], ids=["deleted", "replaced by a shorter one", "replaced by a longer one"])
async def test_a_stream_that_is_deleted_or_replaced_ends_its_subscription(
    broker: EmbeddedBroker, nats_env: dict[str, str], recorder: ApplicationRecorder, again: int
) -> None:
    stream = recorder.stream.name  # type: ignore[attr-defined] # of this module's recorders
    await asyncio.to_thread(insert, recorder, 0, 3)
    with recorder.subscribe() as subscription:
        assert [(await asyncio.to_thread(next, subscription)).id for _ in range(3)] == [1, 2, 3]
        await deleted(broker, stream)
        if again:
            other = NatsFactory(nats_env)
            await asyncio.to_thread(insert, await asyncio.to_thread(other.application_recorder), 7, again)
            await asyncio.to_thread(other.close)
        with pytest.raises((OperationalError, ProgrammingError), match=stream):
            await asyncio.to_thread(next, subscription)


async def test_a_pool_whose_log_is_deleted_ends_its_subscription(
    broker: EmbeddedBroker, nats_env: dict[str, str], pool: str
) -> None:
    connection = await connect(broker.url, name="test", auth=broker.auth("admin"))
    await ensure_stream(connection, pool)
    factory = PoolFactory({**nats_env, "CUSTODY_POOL": pool})
    with factory.application_recorder().subscribe() as subscription:
        waiting = asyncio.create_task(asyncio.to_thread(next, subscription))
        await JetStreamApi(connection).call(f"STREAM.DELETE.CUSTODY_{pool}")
        with pytest.raises((OperationalError, ProgrammingError), match=f"CUSTODY_{pool}: stream not found"):
            await waiting
    await asyncio.to_thread(factory.close)
    await connection.close()


def test_a_stream_that_is_missing_is_an_error(nats_env: dict[str, str]) -> None:
    factory = NatsFactory({**nats_env, "CREATE_TABLE": "no"})
    with factory.application_recorder().subscribe() as subscription, pytest.raises(ProgrammingError, match="no stream"):
        next(subscription)
    factory.close()
