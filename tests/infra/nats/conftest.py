"""A log on a broker that a test may stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.nats.connection import connect
from infra.nats.stream import ensure_stream

if TYPE_CHECKING:
    from infra.broker.embedded import EmbeddedBroker

POOL = "p"


@pytest.fixture
async def broker_with_log(own_broker: EmbeddedBroker) -> EmbeddedBroker:
    """A broker that the test may stop, with the stream of `POOL` on it."""
    connection = await connect(own_broker.url, name="setup")
    await ensure_stream(connection, POOL)
    await connection.close()
    return own_broker
