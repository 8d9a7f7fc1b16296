"""Reads the settings from the application's environment, as the library's other persistence modules do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eventsourcing.utils import strtobool

from infra.nats.auth import Auth, Tls
from infra.nats.broker_errors import CredentialsError
from infra.nats.connection import without_password

if TYPE_CHECKING:
    from eventsourcing.utils import Environment

NATS_URL = "NATS_URL"
NATS_USER = "NATS_USER"
NATS_PASSWORD = "NATS_PASSWORD"  # noqa: S105 # the name of a setting
NATS_TOKEN = "NATS_TOKEN"  # noqa: S105 # same
NATS_CREDS = "NATS_CREDS"
NATS_NKEY = "NATS_NKEY"
NATS_CA = "NATS_CA"
NATS_CERT = "NATS_CERT"
NATS_KEY = "NATS_KEY"
NATS_PLAINTEXT = "NATS_PLAINTEXT"
NATS_INBOX_PREFIX = "NATS_INBOX_PREFIX"
NATS_CONNECT_TIMEOUT = "NATS_CONNECT_TIMEOUT"
NATS_TIMEOUT = "NATS_TIMEOUT"
NATS_STREAM_PREFIX = "NATS_STREAM_PREFIX"
NATS_REPLICAS = "NATS_REPLICAS"
CREATE_TABLE = "CREATE_TABLE"

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_CONNECT_TIMEOUT_S = 5.0
DEFAULT_STREAM_PREFIX = "ES"
_REPLICAS = (1, 3, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsSettings:
    """The broker's address, the credentials, and how streams are created."""

    url: str
    auth: Auth
    connect_timeout_s: float = DEFAULT_CONNECT_TIMEOUT_S
    timeout_s: float = DEFAULT_TIMEOUT_S
    """How long one call of a recorder may take, reconnects and retries included."""
    stream_prefix: str = DEFAULT_STREAM_PREFIX
    replicas: int = 1
    create_streams: bool = True
    name: str = ""
    """The application's; begins the names of the settings that are for it alone."""

    @property
    def remedy_for_rights(self) -> str:
        """What to do where the user lacks a right, as a phrase for people."""
        user = "the connection's user" if self.auth.user is None else f"user {self.auth.user!r}"
        of_application = f"{self.name.upper()}_" if self.name else ""
        return (
            f"give {user} that right at {without_password(self.url)}, or choose another user or broker"
            f" ({of_application}{NATS_USER}, {of_application}{NATS_URL})"
        )

    @classmethod
    def from_env(cls, env: Environment) -> NatsSettings:
        """Read the settings; one with the application's name as a prefix has precedence.

        Raises:
            OSError: one is missing or invalid.
        """
        url = env.get(NATS_URL)
        if not url:
            keys = ", ".join(env.create_keys(NATS_URL))
            raise OSError(f"NATS broker URL not found in environment with keys: {keys}")
        return cls(
            url=url,
            auth=_auth(env),
            connect_timeout_s=_seconds(env, NATS_CONNECT_TIMEOUT, DEFAULT_CONNECT_TIMEOUT_S),
            timeout_s=_seconds(env, NATS_TIMEOUT, DEFAULT_TIMEOUT_S),
            stream_prefix=env.get(NATS_STREAM_PREFIX) or DEFAULT_STREAM_PREFIX,
            replicas=_replicas(env),
            create_streams=creates_streams(env),
            name=env.name,
        )


def creates_streams(env: Environment) -> bool:
    """Return whether recorders create missing streams."""
    return _flag(env, CREATE_TABLE, default="yes")


def _flag(env: Environment, key: str, *, default: str) -> bool:
    value = env.get(key) or default
    try:
        return strtobool(value)
    except ValueError:
        raise _invalid(key, value, "yes or no") from None


def _auth(env: Environment) -> Auth:
    auth = Auth(
        user=env.get(NATS_USER) or None,
        password=env.get(NATS_PASSWORD) or None,
        token=env.get(NATS_TOKEN) or None,
        creds=_path(env, NATS_CREDS),
        nkey=_path(env, NATS_NKEY),
        tls=_tls(env),
        plaintext=_flag(env, NATS_PLAINTEXT, default="no"),
        inbox_prefix=env.get(NATS_INBOX_PREFIX) or None,
    )
    try:
        auth.check()
    except CredentialsError as error:
        raise OSError(str(error)) from None
    return auth


def _tls(env: Environment) -> Tls | None:
    """Return the certificates that are set; None means TLS only if the URL says so, with the system's authorities."""
    tls = Tls(ca=_path(env, NATS_CA), cert=_path(env, NATS_CERT), key=_path(env, NATS_KEY))
    return None if tls == Tls() else tls


def _path(env: Environment, key: str) -> Path | None:
    value = env.get(key)
    return Path(value).expanduser() if value else None


def _seconds(env: Environment, key: str, default: float) -> float:
    value = (env.get(key) or "").strip()
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        raise _invalid(key, value, "a number of seconds") from None
    if not 0 < seconds < float("inf"):
        raise _invalid(key, value, "a positive number of seconds")
    return seconds


def _replicas(env: Environment) -> int:
    value = (env.get(NATS_REPLICAS) or "1").strip()
    if value not in {str(number) for number in _REPLICAS}:
        raise _invalid(NATS_REPLICAS, value, "1, 3 or 5")
    return int(value)


def _invalid(key: str, value: str, expected: str) -> OSError:
    return OSError(
        f"NATS environment value for key '{key}' is invalid. If set, {expected} or empty string is expected: '{value}'"
    )
