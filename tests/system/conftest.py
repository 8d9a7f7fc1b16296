"""Pools served on the session's broker, and bare clients to ask them."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from infra.broker.embedded import EmbeddedBroker
from infra.service.serving import PoolServer
from infra.settings.settings import Settings
from tests.support.broker import Connect
from tests.system.caller import Caller


class Serve(Protocol):
    """Serves the test's pool with these settings; the fixture stops what it started."""

    async def __call__(self, **settings: Any) -> PoolServer: ...


@pytest.fixture
async def serve(broker: EmbeddedBroker, pool: str) -> AsyncIterator[Serve]:
    servers: list[PoolServer] = []

    async def start(**settings: Any) -> PoolServer:
        server = PoolServer(Settings(**{"pool": pool, **settings}), broker.url)
        await server.start(broker.auth, sync_interval="2m")
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def ask(serve: Serve, connect: Connect, pool: str) -> Caller:
    """An operator's client of a pool that is served with the default settings."""
    await serve()
    return Caller(await connect(), pool)
