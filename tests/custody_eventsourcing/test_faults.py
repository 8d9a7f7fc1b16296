"""Lost answers, brokers that end and restart, and closing while a call is in flight."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    InterfaceError,
    OperationalError,
    StoredEvent,
)

from custody_eventsourcing import NatsFactory, UnknownOutcomeError
from custody_eventsourcing.datastore import AsyncDatastore
from infra.broker.embedded import EmbeddedBroker
from infra.nats.connection import NatsConnection
from tests.support.broker import frozen
from tests.support.tcp_proxy import TcpProxy

THREAD = "eventsourcing-nats"


@pytest.fixture
async def proxy(own_broker: EmbeddedBroker) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(own_broker.url) as running:
        yield running


class Factories:
    """Factories that are closed afterwards."""

    def __init__(self) -> None:
        self.made: list[NatsFactory] = []

    def __call__(self, url: str, **env: str) -> NatsFactory:
        self.made.append(NatsFactory({"NATS_URL": url, **env}))
        return self.made[-1]


@pytest.fixture
def connected() -> Iterator[Factories]:
    factories = Factories()
    yield factories
    for factory in factories.made:
        factory.close()


class Calls:
    """Counts the calls of a coroutine method on any thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self._begun = threading.Semaphore(0)
        method = getattr(owner, name)

        def counted(*args: Any) -> Any:
            self._begun.release()
            return method(*args)

        monkeypatch.setattr(owner, name, counted)

    async def begun(self, count: int) -> None:
        """Wait until there were so many more."""
        for _ in range(count):
            assert await asyncio.to_thread(self._begun.acquire, timeout=60)


def events(count: int, version: int = 1) -> list[StoredEvent]:
    return [StoredEvent(f"o{number}", version, "topic", b"state") for number in range(count)]


async def inserted(recorder: ApplicationRecorder, count: int, version: int = 1) -> object:
    return await asyncio.to_thread(recorder.insert_events, events(count, version))


async def stored(recorder: ApplicationRecorder) -> list[tuple[object, int]]:
    found = await asyncio.to_thread(recorder.select_notifications, None, 100)
    return [(item.originator_id, item.originator_version) for item in found]


def named(items: list[StoredEvent]) -> list[tuple[object, int]]:
    return [(item.originator_id, item.originator_version) for item in items]


@pytest.mark.parametrize("count", [1, 3])
async def test_what_was_stored_without_an_answer_is_found_and_not_stored_again(
    proxy: TcpProxy, connected: Factories, count: int
) -> None:
    recorder = await asyncio.to_thread(connected(proxy.url).application_recorder)
    proxy.drop_answers()
    inserting = asyncio.create_task(inserted(recorder, count))
    await proxy.dropped.wait()
    proxy.cut()

    assert await inserting == list(range(1, count + 1))
    assert await stored(recorder) == named(events(count))


async def test_inserts_that_travelled_together_are_found_one_by_one(proxy: TcpProxy, connected: Factories) -> None:
    recorder = await asyncio.to_thread(connected(proxy.url).application_recorder)
    pairs = [[StoredEvent(f"o{number}", version, "topic", b"") for version in (1, 2)] for number in range(6)]
    proxy.drop_answers()
    inserting = [asyncio.create_task(asyncio.to_thread(recorder.insert_events, pair)) for pair in pairs]
    await proxy.dropped.wait()
    proxy.cut()

    positions = await asyncio.gather(*inserting)
    assert sorted(position for pair in positions for position in pair or ()) == list(range(1, 13))
    found = dict(enumerate(await stored(recorder), start=1))
    for ids, pair in zip(positions, pairs, strict=True):
        assert [found[position] for position in ids or ()] == named(pair)


@pytest.mark.parametrize("count", [1, 3])
async def test_what_another_stored_meanwhile_is_not_taken_for_our_own(
    own_broker: EmbeddedBroker, proxy: TcpProxy, connected: Factories, count: int
) -> None:
    recorder = await asyncio.to_thread(connected(proxy.url).application_recorder)
    rival = await asyncio.to_thread(connected(own_broker.url).application_recorder)
    proxy.cut_after(10)
    await inserted(rival, count)

    with pytest.raises(IntegrityError):
        await inserted(recorder, count)
    assert await stored(recorder) == named(events(count))


@pytest.mark.parametrize("share", [0.2, 0.8])
async def test_a_batch_that_was_cut_in_two_is_stored_once(proxy: TcpProxy, connected: Factories, share: float) -> None:
    recorder = await asyncio.to_thread(connected(proxy.url).application_recorder)
    proxy.cut_after(int(share * 50 * 200))

    assert await inserted(recorder, 50) == list(range(1, 51))
    assert await stored(recorder) == named(events(50))


@pytest.mark.parametrize("count", [1, 3])
async def test_what_a_killed_broker_never_read_is_sent_again(
    own_broker: EmbeddedBroker, connected: Factories, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    recorder = await asyncio.to_thread(connected(own_broker.url).application_recorder)
    sends = Calls(monkeypatch, NatsConnection, "send")
    with frozen(own_broker):
        inserting = asyncio.create_task(inserted(recorder, count))
        await sends.begun(1)
        await own_broker.kill()
    await own_broker.start()

    assert await inserting == list(range(1, count + 1))
    assert await stored(recorder) == named(events(count))


async def test_an_outcome_that_cannot_be_found_out_is_told_and_a_retry_is_safe(
    own_broker: EmbeddedBroker, proxy: TcpProxy, connected: Factories
) -> None:
    recorder = await asyncio.to_thread(connected(proxy.url, NATS_TIMEOUT="0.3").application_recorder)
    proxy.drop_answers()
    with pytest.raises(UnknownOutcomeError, match="not known whether it was stored: no answer within"):
        await inserted(recorder, 2)
    patient = await asyncio.to_thread(connected(own_broker.url).application_recorder)
    while not await stored(patient):
        continue  # it is still on its way through the proxy
    proxy.cut()

    with pytest.raises(IntegrityError):
        await inserted(patient, 2)
    assert await stored(patient) == named(events(2))


async def test_a_broker_that_comes_back_in_time_is_waited_for(
    own_broker: EmbeddedBroker, connected: Factories, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = await asyncio.to_thread(connected(own_broker.url).application_recorder)
    await inserted(recorder, 1)
    await own_broker.stop()
    uses = Calls(monkeypatch, AsyncDatastore, "use_stream")
    waiting = [
        asyncio.create_task(inserted(recorder, 1, version=2)),
        asyncio.create_task(asyncio.to_thread(recorder.max_notification_id)),
        asyncio.create_task(asyncio.to_thread(recorder.select_events, "o0", lte=1)),
    ]
    await uses.begun(len(waiting))
    await own_broker.start()

    assert await waiting[0] == [2]
    assert await waiting[1] in {1, 2}
    assert await waiting[2] == events(1)


async def test_a_broker_that_does_not_come_back_is_an_operational_error(
    own_broker: EmbeddedBroker, connected: Factories
) -> None:
    recorder = await asyncio.to_thread(connected(own_broker.url, NATS_TIMEOUT="0.3").application_recorder)
    await own_broker.stop()

    for use in (recorder.max_notification_id, lambda: recorder.insert_events(events(1))):
        with pytest.raises(OperationalError) as caught:
            await asyncio.to_thread(use)
        assert not isinstance(caught.value, UnknownOutcomeError)


@pytest.mark.parametrize("env", [{"NATS_PASSWORD": "wrong"}, {"NATS_URL": "nats://127.0.0.1:9"}], ids=str)
def test_no_way_in_is_an_operational_error(nats_env: dict[str, str], env: dict[str, str]) -> None:
    factory = NatsFactory({**nats_env, "NATS_CONNECT_TIMEOUT": "1", **env})

    with pytest.raises(OperationalError, match="cannot use the broker at nats://127"):
        factory.application_recorder()
    factory.close()


async def test_closing_ends_those_who_wait(
    proxy: TcpProxy, connected: Factories, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = connected(proxy.url)
    recorder = await asyncio.to_thread(factory.application_recorder)
    proxy.drop_answers()
    uses = Calls(monkeypatch, AsyncDatastore, "use_stream")
    waiting = [asyncio.create_task(inserted(recorder, count)) for count in (1, 2)]
    waiting.append(asyncio.create_task(asyncio.to_thread(recorder.max_notification_id)))
    await uses.begun(len(waiting))
    await proxy.dropped.wait()
    await asyncio.to_thread(factory.close)

    for task in waiting:
        with pytest.raises(InterfaceError, match="closed"):
            await task
    with pytest.raises(InterfaceError, match="is closed"):
        await asyncio.to_thread(recorder.max_notification_id)
    factory.close()


def test_an_unreferenced_application_leaves_no_thread(nats_env: dict[str, str]) -> None:
    others = set(threading.enumerate())
    app = Application[UUID](nats_env)
    app.save(Aggregate())
    subscription = app.recorder.subscribe()
    assert next(subscription).id == 1
    (thread,) = [each for each in threading.enumerate() if each.name == THREAD and each not in others]
    gone = weakref.ref(app.recorder)

    del app, subscription
    gc.collect()

    thread.join(60)
    assert not thread.is_alive()
    assert gone() is None
