"""Where the broker is, and as whom to connect: from arguments, the environment, or the directory of `custody up`.

| variable | |
|---|---|
| `CUSTODY_NATS` | the broker's address, several separated by commas; with user and password if it wants them |
| `CUSTODY_CREDENTIALS` | a file: `.creds`, an nkey's seed, or JSON `{"user": ..., "password": ...}`; with `chmod 600` |
| `CUSTODY_NATS_INBOX_PREFIX` | where answers are heard, if that is not `_INBOX.<user>` |
| `CUSTODY_DATA_DIR` | the directory of `custody up`, if that is not `./.custody` |
| `CUSTODY_POOL`, `CUSTODY_AGENT`, `CUSTODY_CAPABILITIES` | pool, name and capabilities (separated by commas) |

An address that is given counts before the variable, and that before `./.custody`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from custody_client.errors import AddressError, NotUpError
from custody_client.secret_file import read_secret

DEFAULT_POOL = "default"
DEFAULT_DATA_DIR = ".custody"
_LOCAL_USER = "operator"
"""The user of `custody up` that people's and programs' clients connect as."""
_USER_SEED = "SU"
SCHEMES = frozenset({"nats", "tls", "ws", "wss"})
_PASSWORD = re.compile(r"//[^/]*@")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Address(NamedTuple):
    """One or more servers of a broker, and the credentials for them."""

    servers: tuple[str, ...]
    user: str | None = None
    password: str | None = None
    creds: str | None = None
    """Path of a `.creds` file."""
    nkey: str | None = None
    """Path of a file with the seed of an nkey."""
    inbox_prefix: str | None = None
    found: bool = False
    """Whether it is that of a data directory, where the next `custody up` may leave another one."""

    def options(self) -> dict[str, Any]:
        """Return it as the NATS library's options."""
        given = {
            "user": self.user,
            "password": self.password,
            "user_credentials": self.creds,
            "nkeys_seed": self.nkey,
        }
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return options | {"servers": list(self.servers), "inbox_prefix": self.inbox.encode()}

    @property
    def inbox(self) -> str:
        """Where answers are heard: a user of the broker may listen below `_INBOX.<user>` alone."""
        if self.inbox_prefix is not None:
            return self.inbox_prefix
        parts = urlsplit(self.servers[0])
        in_url = unquote(parts.username) if parts.username and parts.password is not None else None
        user = self.user or in_url
        return f"_INBOX.{user}" if user else "_INBOX"

    def __repr__(self) -> str:
        """Return it without its secrets."""
        return f"Address({', '.join(map(without_password, self.servers))})"


class _BrokerFile(msgspec.Struct):
    url: str
    users: bool = True


class _UserFile(msgspec.Struct):
    user: str
    password: str


def find_address(
    url: str | None = None,
    *,
    credentials: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    directory: Path | None = None,
) -> Address:
    """Return where the broker is now. It is read again before each connection, so it may change meanwhile.

    `url`, `credentials`: in place of the variables. `directory`: where `.custody` is looked for; None: the working
    directory.

    Raises:
        NotUpError: nothing says it but a data directory, in which no `custody up` runs now.
        AddressError: what says it is no address, or is missing or damaged.
    """
    servers = url or environ.get("CUSTODY_NATS")
    file = credentials or environ.get("CUSTODY_CREDENTIALS")
    prefix = environ.get("CUSTODY_NATS_INBOX_PREFIX")
    if servers:
        given = [each.strip() for each in servers.split(",") if each.strip()]
        if not given:
            raise AddressError(f"{servers!r} names no broker, such as nats://127.0.0.1:4222")
        address = Address(tuple(_checked_server(each if "://" in each else f"nats://{each}") for each in given))
        if file:
            address = _with_file(address, Path(file).expanduser())
    elif file:
        raise AddressError(
            "credentials need an address of their own, in CUSTODY_NATS: they are sent to none found in a directory"
        )
    else:
        data = environ.get("CUSTODY_DATA_DIR") or DEFAULT_DATA_DIR
        address = _of_directory((directory or Path()) / Path(data).expanduser())
    return address._replace(inbox_prefix=prefix) if prefix else address


def without_password(url: str) -> str:
    """Return an address as it may be shown."""
    return _PASSWORD.sub("//", url)


def _checked_server(url: str) -> str:
    """Return the address of a server; raises AddressError if it can be none."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise AddressError(f"{without_password(url)} is no address of a broker, such as nats://127.0.0.1:4222")
    return url


def _of_directory(data: Path) -> Address:
    """Return the address that `custody up` leaves in its data directory."""
    try:
        broker = msgspec.json.decode((data / "broker.json").read_bytes(), type=_BrokerFile)
        if not broker.users:
            return Address((broker.url,), found=True)
        passwords = msgspec.json.decode(read_secret(data / "credentials.json"), type=dict[str, str])
        return Address((broker.url,), user=_LOCAL_USER, password=passwords[_LOCAL_USER], found=True)
    except FileNotFoundError as error:
        raise NotUpError(
            f"there is no {Path(error.filename).absolute()}: run this beside `custody up`, in the same directory, or "
            "set CUSTODY_NATS"
        ) from None
    except (OSError, msgspec.MsgspecError, KeyError) as error:
        raise AddressError(f"{data} does not say where the broker is: {error}") from None


def _with_file(address: Address, file: Path) -> Address:
    """Return the address with the credentials of a file, whose content says which kind they are."""
    try:
        content = read_secret(file).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AddressError(f"the credentials in {file} cannot be read: {error}") from None
    if "BEGIN NATS USER JWT" in content:
        return address._replace(creds=str(file))
    if content.startswith(_USER_SEED):
        return address._replace(nkey=str(file))
    try:
        given = msgspec.json.decode(content, type=_UserFile)
    except msgspec.MsgspecError:
        raise AddressError(
            f'{file} is no .creds file, no seed of an nkey, and no JSON {{"user": ..., "password": ...}}'
        ) from None
    return address._replace(user=given.user, password=given.password)


def pool_name(pool: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the pool: the given one, else that of the environment, else `default`; raises AddressError."""
    return _checked(pool or environ.get("CUSTODY_POOL") or DEFAULT_POOL, "a pool")


def agent_name(name: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the agent's name: the given one, else that of the environment; raises AddressError if there is none."""
    found = name or environ.get("CUSTODY_AGENT")
    if not found:
        raise AddressError("a worker needs a name: give it one, or set CUSTODY_AGENT")
    return _checked(found, "an agent")


def _checked(name: str, what: str) -> str:
    """Return a name, which becomes part of a subject."""
    if _NAME.fullmatch(name) is None:
        raise AddressError(f"{name!r} is no name of {what}: 1 to 64 letters, digits, `_` and `-`")
    return name


def capability_names(given: list[str] | None, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the capabilities: the given ones, else those of the environment."""
    if given is not None:
        return list(given)
    return [each.strip() for each in environ.get("CUSTODY_CAPABILITIES", "").split(",") if each.strip()]
