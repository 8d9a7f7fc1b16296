"""What tests need of a real broker beside the fixtures in `tests/support/servers.py`."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

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


@contextmanager
def frozen(broker: EmbeddedBroker) -> Iterator[None]:
    """Stop the broker's process within. A running thread stops a moment after the signal, so wait for that."""
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
