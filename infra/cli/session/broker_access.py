"""The broker's address and the credentials that a client command uses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from infra.broker.data_dir import BrokerRecord, DataDir, DataDirError
from infra.nats.auth import Auth
from infra.settings.credentials import auth_for, secrets_for
from infra.settings.sources import SettingsError
from infra.settings.trust import Trust, misrouted, trust_of, trust_of_data_dir

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.settings.loading import Origin
    from infra.settings.settings import Settings

DEFAULT_PORT = 4222
DEFAULT_URL = f"nats://127.0.0.1:{DEFAULT_PORT}"
_PROBE_TIMEOUT_S = 1.0


class Access(NamedTuple):
    """The broker's address, and the credentials for it."""

    url: str
    auth: Auth
    guessed: bool = False
    """Whether no setting and no running broker names the address: it is DEFAULT_URL."""


def find_access(settings: Settings, user: str = "operator", origins: Mapping[str, Origin] | None = None) -> Access:
    """Return how to reach the broker.

    The address: the setting `nats`, else that of the broker that runs on the data directory, else DEFAULT_URL. The
    credentials: those in the settings, unless the address comes from a less trusted source (`infra.settings.trust`);
    else the user's password in the data directory if the address is of the broker that runs on it. `origins`: the
    settings' sources; without it, all are flags.

    Raises:
        DataDirError: the data directory's passwords cannot be read.
        SettingsError: the address comes from a less trusted source than the credentials, and there are no others.
    """
    origins = origins or {}
    directory = DataDir.at(settings.data_dir)
    record, url = _record_and_url(settings)
    auth = auth_for(settings, user)
    why = misrouted(secrets_for(settings, user), _trust_of_address(settings, record, origins), origins)
    beside_up = (
        record is not None
        and record.users
        and _same_address(record.url, url)
        # A killed broker leaves its record; a program that listens on its port now must not get its password.
        and not _has_ended(record.pid, directory)
    )
    if (auth.anonymous or why is not None) and beside_up:
        password = directory.read_passwords().get(user)
        if password is not None:
            why, auth = None, Auth(user=user, password=password, tls=auth.tls)
    if why is not None:
        raise SettingsError(why)
    return Access(url, auth, guessed=settings.nats is None and record is None)


def find_url(settings: Settings) -> str:
    """Return the address that `find_access` returns. Raises DataDirError."""
    return _record_and_url(settings)[1]


def running_broker(settings: Settings) -> str | None:
    """Return the address of the broker that runs on the data directory, None if none does or it is not known."""
    directory = DataDir.at(settings.data_dir)
    try:
        record = directory.read_record()
    except DataDirError:
        return None
    return None if record is None or _has_ended(record.pid, directory) else record.url


def _record_and_url(settings: Settings) -> tuple[BrokerRecord | None, str]:
    record = DataDir.at(settings.data_dir).read_record()
    return record, settings.nats or (record.url if record is not None else DEFAULT_URL)


def _trust_of_address(settings: Settings, record: BrokerRecord | None, origins: Mapping[str, Origin]) -> Trust:
    if settings.nats is not None:
        return trust_of("nats", origins)
    return trust_of_data_dir(origins) if record is not None else Trust.CHOSEN


def _has_ended(pid: int, directory: DataDir) -> bool:
    from infra.broker.process import has_ended

    return has_ended(pid, directory)


async def connection_refused(url: str) -> bool:
    """Return whether nothing listens at a single address; the client library would go on trying to connect to it."""
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


def _same_address(one: str, other: str) -> bool:
    """Return whether `other`, or each of several that are separated by commas, is the address `one`."""
    return all(_host_and_port(each) == _host_and_port(one) for each in other.split(","))


def _host_and_port(url: str) -> tuple[str | None, int | None]:
    """Return an address's host, 127.0.0.1 for `localhost`, and its port."""
    parts = urlsplit(url.strip() if "//" in url else f"nats://{url.strip()}")
    return "127.0.0.1" if parts.hostname == "localhost" else parts.hostname, parts.port
