"""The pool's stream: created as the log needs it; an existing one is checked and never changed."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from handlers.ports import evt_prefix
from infra.broker.embedded import EmbeddedBroker
from infra.nats.broker_errors import BrokerTooOldError, BrokerUnavailableError, NoJetStreamError, StreamMismatchError
from infra.nats.connection import NatsConnection, connect
from infra.nats.stream import StreamFacts, StreamSettings, config_differences, ensure_stream, stream_config, stream_name
from tests.support.fake_broker import FakeBroker


@pytest.fixture
async def admin(broker: EmbeddedBroker) -> AsyncIterator[NatsConnection]:
    auth = broker.auth("admin")
    connection = await connect(broker.url, name="test", auth=auth)
    yield connection
    await connection.close()


async def api(connection: NatsConnection, verb: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    payload = b"" if body is None else json.dumps(body).encode()
    answer = json.loads((await connection.client.request(f"$JS.API.{verb}", payload, timeout=30)).data)
    assert isinstance(answer, dict)
    return answer


async def test_the_first_call_creates_and_the_next_finds(admin: NatsConnection, pool: str) -> None:
    facts = await ensure_stream(admin, pool, sync_interval="always")

    assert facts == StreamFacts(
        stream=f"CUSTODY_{pool}",
        created=True,
        first_position=0,
        last_position=0,
        replicas=1,
        storage="file",
        compression="none",
        server_version=facts.server_version,
        sync_interval="always",
    )
    assert not (await ensure_stream(admin, pool)).created


async def test_the_writers_rights_suffice(broker: EmbeddedBroker, pool: str) -> None:
    auth = broker.auth("writer")
    connection = await connect(broker.url, name="test", auth=auth)
    assert (await ensure_stream(connection, pool)).created
    await connection.close()


@pytest.mark.parametrize(
    ("sync_interval", "worth"),
    [
        ("always", "every acknowledged event is on disk"),
        ("2m", "synced to disk every 2m: a power cut can lose"),
        (None, "cannot be asked"),
    ],
)
async def test_the_facts_say_what_an_acknowledgement_is_worth(
    admin: NatsConnection, pool: str, sync_interval: str | None, worth: str
) -> None:
    line = (await ensure_stream(admin, pool, sync_interval=sync_interval)).durability()

    assert line.startswith(f"CUSTODY_{pool}: 1 copy in file storage, compression none, nats-server 2.")
    assert worth in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"storage": "memory"}, "storage: found memory, needed file"),
        ({"allow_atomic": False}, "allow_atomic: found false, needed true"),
        ({"allow_direct": False}, "allow_direct: found false, needed true"),
        ({"deny_delete": False}, "deny_delete: found false, needed true"),
        ({"deny_purge": False}, "deny_purge: found false, needed true"),
        ({"discard": "old"}, "discard: found old, needed new"),
        ({"retention": "interest"}, "retention: found interest, needed limits"),
        ({"max_msgs": 10}, "max_msgs: found 10, needed -1"),
        ({"max_bytes": 1_000_000}, "max_bytes: found 1000000, needed -1"),
        ({"max_age": 1_000_000_000_000}, "max_age: found 1000000000000, needed 0"),
        ({"max_msgs_per_subject": 1}, "max_msgs_per_subject: found 1, needed -1"),
        ({"max_msg_size": 100}, "max_msg_size: found 100, needed -1"),
        ({"compression": "s2"}, "compression: found s2, needed none"),
        ({"republish": None}, "republish: found none, needed src=custody.{pool}.evt.> dest=custody.{pool}.feed.>"),
        ({"allow_msg_ttl": True}, "allow_msg_ttl: found true, needed false"),
        ({"subjects": ["custody.{pool}.evt.task.>"]}, "subjects: found custody.{pool}.evt.task.>, needed"),
        ({"persist_mode": "async", "allow_atomic": False}, "persist_mode: found async, needed default"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_another_setting_is_named_and_left_alone(
    admin: NatsConnection, pool: str, change: dict[str, Any], named: str
) -> None:
    change = json.loads(json.dumps(change).replace("{pool}", pool))
    config = {**stream_config(pool, StreamSettings()), **change}
    before = (await api(admin, f"STREAM.CREATE.{stream_name(pool)}", config))["config"]

    with pytest.raises(StreamMismatchError) as caught:
        await ensure_stream(admin, pool)

    assert named.replace("{pool}", pool) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (await api(admin, f"STREAM.INFO.{stream_name(pool)}"))["config"] == before


async def test_every_difference_is_named_at_once(admin: NatsConnection, pool: str) -> None:
    config = {**stream_config(pool, StreamSettings()), "storage": "memory", "max_msgs": 5, "deny_purge": False}
    await api(admin, f"STREAM.CREATE.{stream_name(pool)}", config)

    with pytest.raises(StreamMismatchError, match=r"deny_purge: .*; storage: .*; max_msgs: "):
        await ensure_stream(admin, pool)


def test_several_copies_are_lost_only_together() -> None:
    facts = StreamFacts(
        stream="CUSTODY_p",
        created=False,
        first_position=1,
        last_position=5,
        replicas=3,
        storage="file",
        compression="none",
        server_version="2.15.1",
        sync_interval="2m",
    )

    assert facts.durability() == (
        "CUSTODY_p: 3 copies in file storage, compression none, nats-server 2.15.1; "
        "synced to disk every 2m: a power cut of most copies at once can lose what was acknowledged since"
    )


def test_a_different_number_of_replicas_is_a_difference() -> None:
    found = stream_config("p", StreamSettings(replicas=1))

    assert config_differences(found, "p", StreamSettings(replicas=3)) == ["num_replicas: found 1, needed 3"]


async def test_compression_is_a_setting(admin: NatsConnection, pool: str) -> None:
    facts = await ensure_stream(admin, pool, StreamSettings(compression=True))

    assert facts.compression == "s2"
    with pytest.raises(StreamMismatchError, match="compression: found s2, needed none"):
        await ensure_stream(admin, pool)


async def test_a_restored_log_may_begin_late(admin: NatsConnection, pool: str) -> None:
    config = {**stream_config(pool, StreamSettings()), "first_seq": 1_000}
    await api(admin, f"STREAM.CREATE.{stream_name(pool)}", config)
    await admin.client.jetstream().publish(f"{evt_prefix(pool)}pool.{pool}.opened", b"{}")

    assert (await ensure_stream(admin, pool)).last_position == 1_000


async def test_a_log_whose_events_are_gone_is_not_begun_anew(admin: NatsConnection, pool: str) -> None:
    config = {**stream_config(pool, StreamSettings()), "first_seq": 1_000}
    await api(admin, f"STREAM.CREATE.{stream_name(pool)}", config)

    with pytest.raises(StreamMismatchError, match="is empty, and its next position is 1000: an import was broken off"):
        await ensure_stream(admin, pool)


async def test_replicas_need_a_cluster(admin: NatsConnection, pool: str) -> None:
    with pytest.raises(BrokerUnavailableError, match=r"refuses: .*replicas"):
        await ensure_stream(admin, pool, StreamSettings(replicas=3))


async def test_subjects_that_another_stream_holds_are_a_refusal(admin: NatsConnection, pool: str) -> None:
    await api(admin, f"STREAM.CREATE.OTHER_{pool}", {"name": f"OTHER_{pool}", "subjects": [f"custody.{pool}.>"]})

    with pytest.raises(BrokerUnavailableError, match=r"refuses: .*subjects overlap"):
        await ensure_stream(admin, pool)


@pytest.mark.parametrize("version", ["2.9.25", "2.12.0", "1.4.1"])
async def test_a_broker_that_is_too_old_is_told_so(version: str) -> None:
    async with FakeBroker(version=version) as fake:
        connection = await connect(fake.url, name="test")
        with pytest.raises(BrokerTooOldError, match=rf"nats-server {version}; 2\.12\.1 or newer is needed"):
            await ensure_stream(connection, "p")
        await connection.close()


@pytest.mark.parametrize("version", ["2.12.1", "2.12.1-RC.2", "2.13.0", "3.0.0"])
async def test_a_broker_without_jetstream_is_told_so(version: str) -> None:
    async with FakeBroker(version=version, responders=False) as fake:
        connection = await connect(fake.url, name="test")
        with pytest.raises(NoJetStreamError, match="runs without JetStream"):
            await ensure_stream(connection, "p")
        await connection.close()


async def test_a_broker_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.nats.stream._POLL_TIMEOUT_S", 0.1)
    async with FakeBroker() as fake:
        connection = await connect(fake.url, name="test")
        with pytest.raises(BrokerUnavailableError, match=r"no answer to STREAM.INFO.CUSTODY_p .*\(waited 0.1 s\)"):
            await ensure_stream(connection, "p", deadline_s=0.1)
        await connection.close()


async def test_deletes_and_purges_are_denied_even_to_an_administrator(admin: NatsConnection, pool: str) -> None:
    await ensure_stream(admin, pool)
    stream = stream_name(pool)
    await admin.client.request(f"custody.{pool}.evt.task.T1.queued", b"x", timeout=30)

    assert (await api(admin, f"STREAM.MSG.DELETE.{stream}", {"seq": 1}))["error"]["err_code"] == 10057
    assert (await api(admin, f"STREAM.PURGE.{stream}"))["error"]["err_code"] == 10110
    assert (await ensure_stream(admin, pool)).last_position == 1
