"""A real broker for tests: one server a session, a pool of its own for every test."""

import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.broker.users import ADMIN

FAST = BrokerOptions(sync_interval="2m", extra_users=(ADMIN,))
"""Users enforced, an `admin` beside the service's own, and no flush to disk for each append."""


class Connect(Protocol):
    """Connects to the session's broker as the given user; the fixture closes what it opened."""

    async def __call__(self, user: str = "operator", **options: Any) -> Client:
        """Return a connected client; a permission the user lacks shows in `options["error_cb"]`."""
        ...


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedBroker]:
    """The session's broker. Don't stop or kill it: a test that must starts its own."""
    async with EmbeddedBroker(tmp_path_factory.mktemp("broker"), FAST) as running:
        yield running


@pytest.fixture
def pool() -> str:
    """The name of a pool that no other test uses."""
    return fresh_pool()


def fresh_pool() -> str:
    """A pool name that was never used on this broker."""
    return f"t-{secrets.token_hex(6)}"


@contextmanager
def frozen(broker: EmbeddedBroker) -> Iterator[None]:
    """The broker stands still within. A thread that is running stops a moment after the signal, so wait for that."""
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    try:
        yield
    finally:
        if broker.pid == pid:
            os.kill(pid, signal.SIGCONT)


async def settled(nc: Client) -> None:
    """Return when the broker has dealt with all that was sent. The library's first ping may overtake it."""
    await nc.flush()
    await nc.flush()


@pytest.fixture
async def connect(broker: EmbeddedBroker) -> AsyncIterator[Connect]:
    """Clients of the session's broker."""
    clients: list[Client] = []

    async def open_client(user: str = "operator", **options: Any) -> Client:
        client = await nats.connect(broker.url, **broker.credentials(user), **options)
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        await client.close()
