"""The permissions that docs/eventsourcing.md lists are enough; an operation beyond them raises ForbiddenError."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import ApplicationRecorder, StoredEvent, Tracking
from eventsourcing.utils import Environment

from custody_eventsourcing import ForbiddenError, NatsFactory, UnknownOutcomeError
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import SERVICE_USERS, BrokerUser
from tests.support.cases import case
from tests.support.tcp_proxy import TcpProxy

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
BLIND = BrokerUser(
    "blind", publish=("es.>", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.INFO.*"), subscribe=("_INBOX.blind.>",)
)
NEEDED = READING[:4]
"""The rights without which a read fails."""
WITHOUT = tuple(
    BrokerUser(
        f"without{number}",
        publish=tuple(each for each in READING if each != right),
        subscribe=(f"_INBOX.without{number}.>",),
    )
    for number, right in enumerate(NEEDED)
)
TIMEOUT_S = "300"
"""So long that no test would see the end of it."""


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    options = BrokerOptions(sync_interval="2m", extra_users=(OWNER, READER, BLIND, *WITHOUT))
    async with EmbeddedBroker(tmp_path / "broker", options) as running:
        yield running


def env(broker: EmbeddedBroker, user: BrokerUser) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "custody_eventsourcing",
        "NATS_URL": broker.url,
        "NATS_USER": user.name,
        "NATS_PASSWORD": broker.credentials(user.name)["password"],
        "NATS_INBOX_PREFIX": user.subscribe[-1].removesuffix(".>"),
        "NATS_TIMEOUT": TIMEOUT_S,
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


@pytest.mark.parametrize("user", SERVICE_USERS, ids=lambda user: user.name)
async def test_who_may_not_create_a_stream_is_told_what_to_do(guarded: EmbeddedBroker, user: BrokerUser) -> None:
    made = NatsFactory(Environment("leases", {**env(guarded, user), "NATS_INBOX_PREFIX": f"_INBOX.{user.name}"}))
    says = {
        "writer": "does not allow a publish to es.es-leases-tracking.trk",
        "responder": f"does not allow a publish to $JS.API.STREAM.INFO.ES-leases-tracking: give user '{user.name}'",
        "operator": (
            "does not allow a publish to $JS.API.STREAM.CREATE.ES-leases-tracking: give user 'operator' that right at"
            f" {guarded.url}, or choose another user or broker (LEASES_NATS_USER, LEASES_NATS_URL)"
        ),
    }

    def track() -> None:
        with closing(made):
            made.tracking_recorder().insert_tracking(Tracking("upstream", 1))

    with pytest.raises(ForbiddenError, match=re.escape(says[user.name])):
        await asyncio.to_thread(track)


async def test_a_read_without_a_right_says_which_one_is_lacking(guarded: EmbeddedBroker) -> None:
    await asyncio.to_thread(use, env(guarded, OWNER))
    for user, right in zip(WITHOUT, NEEDED, strict=True):
        with case(right), pytest.raises(ForbiddenError, match=f"(?i){re.escape(right[:-1])}.*'{user.name}'"):
            await asyncio.to_thread(read_all, {**env(guarded, user), "CREATE_TABLE": "no"})


def read_all(reader: dict[str, str]) -> None:
    with closing(NatsFactory(Environment("Application", reader))) as made:
        recorder = made.application_recorder()
        assert recorder.max_notification_id() == 301
        assert len(recorder.select_notifications(1, 10)) == 10
        with recorder.subscribe() as subscription:
            assert next(subscription).id == 1


async def test_an_inbox_that_the_user_may_not_hear_is_named(guarded: EmbeddedBroker) -> None:
    made = NatsFactory({**env(guarded, READER), "NATS_INBOX_PREFIX": "_INBOX.other"})
    with pytest.raises(ForbiddenError, match=r"subscription to _inbox\.other\..*NATS_INBOX_PREFIX.*'reader'"):
        await asyncio.to_thread(made.application_recorder)
    await asyncio.to_thread(made.close)


async def test_an_outcome_stays_unknown_to_a_user_that_may_not_read(guarded: EmbeddedBroker) -> None:
    async with TcpProxy(guarded.url) as proxy:
        made = NatsFactory({**env(guarded, BLIND), "NATS_URL": proxy.url, "NATS_TIMEOUT": "1"})
        recorder: ApplicationRecorder = await asyncio.to_thread(made.application_recorder)
        proxy.drop_answers()
        inserting = asyncio.create_task(
            asyncio.to_thread(recorder.insert_events, [StoredEvent("a", 1, "topic", b"state")])
        )
        await proxy.dropped.wait()
        proxy.cut()
        with pytest.raises(UnknownOutcomeError):
            await inserting
        await asyncio.to_thread(made.close)
