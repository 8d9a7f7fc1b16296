"""Servers for tests: a broker (a pool for each test) and a PostgreSQL (a schema for each) that a session shares.

Every test process loads this file, so it imports what a server needs only where one is started.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from pathlib import Path

    from nats.aio.client import Client

    from infra.broker.embedded import EmbeddedBroker
    from tests.support.broker import Connect
    from tests.support.postgres import Postgres


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedBroker]:
    """The session's broker. Don't stop or kill it: a test that has to starts its own."""
    from infra.broker.embedded import EmbeddedBroker
    from tests.support.broker import FAST

    async with EmbeddedBroker(tmp_path_factory.mktemp("broker"), FAST) as running:
        yield running


@pytest.fixture
async def own_broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    """A broker without users that the test may stop."""
    from infra.broker.embedded import BrokerOptions, EmbeddedBroker

    async with EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m", enforce_users=False)) as running:
        yield running


@pytest.fixture
async def users_broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    """A broker with the service's users and an `admin` that the test may stop."""
    from infra.broker.embedded import EmbeddedBroker
    from tests.support.broker import FAST

    async with EmbeddedBroker(tmp_path / "broker", FAST) as running:
        yield running


@pytest.fixture
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and no CUSTODY_ variable."""
    for name in [name for name in os.environ if name.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pool() -> str:
    """The name of a pool that no other test uses."""
    return fresh_pool()


def fresh_pool() -> str:
    """A pool name that was never used on this broker."""
    return f"t-{secrets.token_hex(6)}"


@pytest.fixture
async def connect(broker: EmbeddedBroker) -> AsyncIterator[Connect]:
    """Clients of the session's broker."""
    import nats

    clients: list[Client] = []

    async def open_client(user: str = "operator", **options: Any) -> Client:
        options = {"inbox_prefix": f"_INBOX.{user}".encode(), **options}
        client = await nats.connect(broker.url, **broker.credentials(user), **options)
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's server. Don't stop it: a test that has to starts its own."""
    from tests.support.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The URL of an empty schema."""
    import psycopg
    from psycopg import sql

    schema = f"t_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    return postgres.url(schema)
