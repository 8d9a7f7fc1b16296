"""Snapshots on a real broker, written as the user `writer` and read as `operator`."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from handlers.ports import LogUnavailableError
from infra.broker.embedded import EmbeddedBroker
from infra.nats import snapshot_store as module
from infra.nats.api import JetStreamApi
from infra.nats.connection import NatsConnection, connect
from infra.nats.snapshot_store import NatsSnapshots
from infra.nats.stream import ensure_stream
from infra.service.fold_build import fold_build
from projections.state.state_image import SnapshotError
from tests.support.broker import Connect

As = Callable[..., Awaitable[NatsSnapshots]]


@pytest.fixture
async def as_user(broker: EmbeddedBroker, pool: str) -> AsyncIterator[As]:
    """The store of a pool with an empty log, as one of the broker's users."""
    connections = []

    async def connected(user: str) -> NatsConnection:
        connection = await connect(broker.url, name="test", auth=broker.auth(user))
        connections.append(connection)
        return connection

    async def open_store(user: str, build: str = "b1", **options: float) -> NatsSnapshots:
        return NatsSnapshots(JetStreamApi(await connected(user), **options), pool, build)

    await ensure_stream(await connected("writer"), pool)
    yield open_store
    for connection in connections:
        await connection.close()


async def test_what_the_writer_stores_the_operator_reads(as_user: As, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 10)
    writer, operator = await as_user("writer"), await as_user("operator")
    assert await operator.positions(100) == []
    for position in (20, 5, 100):
        await writer.put(position, b"snapshot of %d, in several parts" % position)
    assert await operator.positions(100) == [100, 20, 5]
    assert await operator.positions(99) == [20, 5]
    assert await operator.get(20) == b"snapshot of 20, in several parts"


async def test_the_same_position_again_replaces_it(as_user: As, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 10)
    writer = await as_user("writer")
    await writer.put(7, b"a long snapshot in parts")
    await writer.put(7, b"short")
    assert await writer.positions(7) == [7]
    assert await writer.get(7) == b"short"


async def test_the_oldest_make_room(as_user: As, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARTS", 3)
    writer = await as_user("writer")
    for position in (1, 2):
        await writer.put(position, b"snapshot")
    assert await writer.positions(9) == [2, 1]
    with pytest.raises(SnapshotError, match="its part 0 is missing"):
        await writer.get(1)
    assert await writer.get(2) == b"snapshot"


async def test_another_builds_snapshots_are_not_seen(as_user: As, pool: str) -> None:
    writer = await as_user("writer")
    await writer.put(1, b"snapshot")
    other = await as_user("writer", "b2")
    assert await other.positions(9) == []


async def test_a_manifest_that_is_none_is_no_snapshot(as_user: As, connect: Connect, pool: str) -> None:
    writer = await as_user("writer")
    await writer.put(1, b"snapshot")
    client = await connect("writer")
    for body in (b"junk", b"[]", b'{"parts": 0}', b'{"parts": 1000000}'):
        await client.jetstream().publish(f"$KV.CUSTODY_SNAPSHOTS_{pool}.b1.1.manifest", body)
        with pytest.raises(SnapshotError, match="its manifest"):
            await writer.get(1)


async def test_what_others_put_into_the_bucket_hides_no_snapshot(as_user: As, connect: Connect, pool: str) -> None:
    writer = await as_user("writer")
    await writer.put(1, b"snapshot")
    client = await connect("writer")
    await client.jetstream().publish(f"$KV.CUSTODY_SNAPSHOTS_{pool}.b1.latest.manifest", b"1")
    assert await writer.positions(9) == [1]


async def test_too_large_a_snapshot_is_refused(as_user: As, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 1)
    monkeypatch.setattr(module, "MAX_PARTS", 5)
    with pytest.raises(SnapshotError, match="5 bytes are too many"):
        await (await as_user("writer")).put(1, b"12345")


async def test_the_operator_stores_nothing(as_user: As) -> None:
    operator = await as_user("operator", timeout_s=0.2)
    with pytest.raises(LogUnavailableError):
        await operator.put(1, b"snapshot")


def test_the_build_is_a_digest_of_the_folding_code() -> None:
    assert len(fold_build()) == 16
    assert fold_build.__wrapped__() == fold_build()
