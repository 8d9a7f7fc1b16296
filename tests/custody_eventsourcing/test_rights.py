"""The permissions that docs/eventsourcing.md lists are enough; an operation beyond them raises ForbiddenError."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import StoredEvent

from custody_eventsourcing import ForbiddenError, NatsFactory
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import BrokerUser

READING = (
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.DIRECT.GET.>",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.DELETE.>",
    "$JS.FC.>",
)
OWNER = BrokerUser("owner", publish=("es.>", "$JS.API.STREAM.CREATE.*", *READING), subscribe=("_INBOX.>",))
READER = BrokerUser("reader", publish=READING, subscribe=("_INBOX.reader.>",))


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    options = BrokerOptions(sync_interval="2m", extra_users=(OWNER, READER))
    async with EmbeddedBroker(tmp_path / "broker", options) as running:
        yield running


def env(broker: EmbeddedBroker, user: BrokerUser) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "custody_eventsourcing",
        "NATS_URL": broker.url,
        "NATS_USER": user.name,
        "NATS_PASSWORD": broker.credentials(user.name)["password"],
        "NATS_INBOX_PREFIX": user.subscribe[0].removesuffix(".>"),
    }


async def test_the_rights_are_enough(guarded: EmbeddedBroker) -> None:
    await asyncio.to_thread(use, env(guarded, OWNER))


def use(owner: dict[str, str]) -> None:
    with Application[UUID](owner) as app, app.recorder.subscribe() as subscription:
        long = Aggregate()
        for _ in range(299):
            long.trigger_event(Aggregate.Event)
        app.save(long)
        app.save(Aggregate())
        app.repository.get(long.id)
        assert len(app.recorder.select_notifications(1, 500)) == 301
        assert [next(subscription).id for _ in range(301)][-1] == 301


async def test_a_reader_may_read_and_is_told_that_it_may_not_write(guarded: EmbeddedBroker) -> None:
    await asyncio.to_thread(use, env(guarded, OWNER))
    factory = NatsFactory({**env(guarded, READER), "CREATE_TABLE": "no"})
    factory.env.name = "Application"
    recorder = await asyncio.to_thread(factory.application_recorder)

    assert await asyncio.to_thread(recorder.max_notification_id) == 301
    for count in (1, 2):
        events = [StoredEvent("a", version, "topic", b"") for version in range(1, count + 1)]
        with pytest.raises(ForbiddenError, match="does not allow a publish to"):
            await asyncio.to_thread(recorder.insert_events, events)
    await asyncio.to_thread(factory.close)
