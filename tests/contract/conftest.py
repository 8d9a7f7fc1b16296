"""Both implementations of the event log, each on a fresh pool."""

from collections.abc import AsyncIterator

import pytest

from infra.broker.embedded import EmbeddedBroker
from infra.nats.connection import NatsConnection, connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from tests.support.logs import Log, OpenLog
from tests.support.memory_log import MemoryEventLog


@pytest.fixture(params=["memory", "broker"])
async def open_log(request: pytest.FixtureRequest, pool: str, broker: EmbeddedBroker) -> AsyncIterator[OpenLog]:
    """Opens the pool's log, as often as there are replicas: each has a connection of its own."""
    memory = MemoryEventLog(pool)
    auth = broker.auth("writer")
    opened: list[tuple[NatsEventLog, NatsConnection]] = []

    async def open_in_memory() -> Log:
        return memory

    async def open_on_broker() -> Log:
        connection = await connect(broker.url, name="contract", auth=auth)
        await ensure_stream(connection, pool)
        log = await NatsEventLog.open(connection, pool)
        opened.append((log, connection))
        return log

    yield open_in_memory if request.param == "memory" else open_on_broker
    for log, connection in opened:
        await log.close()
        await connection.close()


@pytest.fixture
async def log(open_log: OpenLog) -> Log:
    """An empty log."""
    return await open_log()
