"""Answers that are not JetStream's: where a broker has no users, any client may send them."""

from types import SimpleNamespace
from typing import Any

import pytest

from handlers.log_end import LogEndStoreError
from handlers.ports import LogUnavailableError
from infra.broker.embedded import EmbeddedBroker
from infra.nats.api import JetStreamApi
from infra.nats.connection import connect
from infra.nats.log_end_bucket import LogEndBucket
from infra.nats.stream import StreamSettings, ensure_stream


@pytest.mark.parametrize("body", [b"junk", b"[]", b"null", b"[" * 60_000])
async def test_what_is_no_answer_of_jetstream_is_none(
    body: bytes, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def request(*_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(data=body)

    connection = await connect(broker.url, name="test", auth=broker.auth("operator"))
    monkeypatch.setattr(connection.client, "request", request)
    with pytest.raises(LogUnavailableError, match=r"the answer to INFO from nats://.* is not JetStream's"):
        await JetStreamApi(connection).call("INFO")
    await connection.close()


async def test_what_is_no_acknowledgement_of_jetstream_is_none(
    broker: EmbeddedBroker, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await connect(broker.url, name="test", auth=broker.auth("writer"))
    await ensure_stream(connection, pool, StreamSettings())
    store = LogEndBucket(JetStreamApi(connection), pool)
    await store.write(b"the end")
    assert await store.read() == b"the end"

    async def request(*_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(data=b"junk")

    monkeypatch.setattr(connection.client, "request", request)
    with pytest.raises(LogEndStoreError, match="is not JetStream's"):
        await store.write(b"another end")
    await connection.close()
