"""Answers that are not JetStream's: where a broker has no users, any client may send them."""

from types import SimpleNamespace
from typing import Any

import pytest

from handlers.ports import LogUnavailableError
from infra.broker.embedded import EmbeddedBroker
from infra.nats.api import JetStreamApi
from infra.nats.connection import connect


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
