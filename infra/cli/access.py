"""Where the command line finds the broker, and who it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from infra.access import auth_for
from infra.data_dir import DataDir
from infra.nats import Auth

if TYPE_CHECKING:
    from infra.settings import Settings

DEFAULT_URL = "nats://127.0.0.1:4222"


class Access(NamedTuple):
    """The broker's address and an identity there."""

    url: str
    auth: Auth


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
    if auth == Auth() and record is not None and record.users and _same(record.url, url):
        password = directory.read_passwords().get(user)
        if password is not None:
            auth = Auth(user=user, password=password)
    return Access(url, auth)


def _same(one: str, other: str) -> bool:
    """Whether two addresses of one broker on this machine are the same, however its loopback is called."""
    (a, b) = (urlsplit(each if "//" in each else f"nats://{each}") for each in (one, other))
    names = {"localhost": "127.0.0.1"}
    return (names.get(a.hostname or "", a.hostname), a.port) == (names.get(b.hostname or "", b.hostname), b.port)
