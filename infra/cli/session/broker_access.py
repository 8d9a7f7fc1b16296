"""Where the command line finds the broker, and who it is there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from infra.broker.data_dir import DataDir
from infra.nats import Auth
from infra.settings.credentials import auth_for

if TYPE_CHECKING:
    from infra.settings.settings import Settings

DEFAULT_PORT = 4222
DEFAULT_URL = f"nats://127.0.0.1:{DEFAULT_PORT}"
_PROBE_TIMEOUT_S = 1.0


class Access(NamedTuple):
    """The broker's address and an identity there."""

    url: str
    auth: Auth
    guessed: bool = False
    """Whether nothing names the address: it is the usual one."""


def find_access(settings: Settings, user: str = "operator") -> Access:
    """Return how to reach the broker.

    The address: the setting `nats`, else that of the broker that runs on the data directory, else the usual port. The
    identity: what the settings say, else the user's password in the data directory if the broker there is meant.

    Raises:
        DataDirError: the data directory's passwords cannot be read.
    """
    directory = DataDir.at(settings.data_dir)
    record = directory.read_record()
    url = settings.nats or (record.url if record is not None else DEFAULT_URL)
    auth = auth_for(settings, user)
    if auth.anonymous and record is not None and record.users and _same(record.url, url):
        password = directory.read_passwords().get(user)
        if password is not None:
            auth = replace(auth, user=user, password=password)
    return Access(url, auth, guessed=settings.nats is None and record is None)


async def refuses(url: str) -> bool:
    """Whether nothing listens at a single address, which the client library would keep trying all the same."""
    try:
        parts = urlsplit(url if "//" in url else f"nats://{url}")
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        return False
    if "," in url or host is None:
        return False
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return False


def _same(one: str, other: str) -> bool:
    """Whether two addresses of one broker on this machine are the same, however its loopback is called."""
    (a, b) = (urlsplit(each if "//" in each else f"nats://{each}") for each in (one, other))
    names = {"localhost": "127.0.0.1"}
    return (names.get(a.hostname or "", a.hostname), a.port) == (names.get(b.hostname or "", b.hostname), b.port)
