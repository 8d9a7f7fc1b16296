"""The files of one embedded broker, and how other programs find it.

- `<data>/lock`: locked by the one `custody up` that runs on this directory
- `<data>/broker.json`: address and pid of the broker, while it runs
- `<data>/credentials.json`: user names and passwords; created once, readable by the owner only
- `<data>/broker/`: the server's configuration, log, pid file and JetStream store
"""

import json
import os
import secrets
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from infra.host.small_files import read_own, read_own_secret

PASSWORD_BYTES = 24
LAST_PORT = 65_535
ROOM_BYTES = 4 * 1024 * 1024
"""What must find room before a broker is started again whose disk was full: four of its largest messages."""


class DataDirError(Exception):
    """The data directory is in use, not usable or damaged; the message is one line and names the path."""


def unusable(root: Path, error: OSError) -> DataDirError:
    """Return the error for a directory that cannot be used, with the system's reason."""
    return DataDirError(f"cannot use {root} as data directory: {error.strerror}")


class BrokerRecord(BaseModel):
    """The content of `broker.json`: `pid` of the nats-server, `users`: whether it requires user and password."""

    model_config = ConfigDict(frozen=True)

    url: str
    pid: int
    users: bool


_PASSWORDS = TypeAdapter(dict[str, str])


@dataclass(frozen=True, slots=True)
class DataDir:
    """The paths in one data directory, and reading and writing of their files."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the directory by its absolute path, by which a broker's command line is recognised."""
        return cls(path.expanduser().resolve())

    @property
    def broker(self) -> Path:
        """The server's own directory."""
        return self.root / "broker"

    @property
    def config(self) -> Path:
        """The generated server configuration."""
        return self.broker / "nats-server.conf"

    @property
    def log(self) -> Path:
        """The server's log; limited in size by the server."""
        return self.broker / "nats-server.log"

    @property
    def console(self) -> Path:
        """The server's output before it opened its log, such as an error in its configuration; of the last start."""
        return self.broker / "nats-server.out"

    @property
    def pid_file(self) -> Path:
        """The server's pid file, written by the server."""
        return self.broker / "nats-server.pid"

    @property
    def credentials(self) -> Path:
        """User names and passwords."""
        return self.root / "credentials.json"

    @property
    def record(self) -> Path:
        """The address of a running broker."""
        return self.root / "broker.json"

    @property
    def port(self) -> Path:
        """The port of the last start, which the next one takes again, so that clients find the broker."""
        return self.broker / "port"

    @property
    def lock(self) -> Path:
        """The file that is locked while the directory is in use."""
        return self.root / "lock"

    def has_room(self) -> bool:
        """Return whether a file of some size can be written to disk here now."""
        probe = self.broker / "room.probe"
        try:
            with probe.open("wb") as file:
                file.write(bytes(ROOM_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
        return True

    def create(self) -> None:
        """Create the directories, accessible to the owner only.

        Raises:
            DataDirError: they cannot be created.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.broker.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise unusable(self.root, error) from error

    def read_record(self) -> BrokerRecord | None:
        """Return the record of the running broker; None if there is none, or it is not readable.

        Raises DataDirError if it could be another user's.

        A killed broker leaves its record behind; only an attempt to connect shows that.
        """
        try:
            return BrokerRecord.model_validate_json(read_own(self.record, DataDirError))
        except (OSError, ValidationError):
            return None

    def write_record(self, record: BrokerRecord) -> None:
        """Write the broker's record atomically."""
        write_private(self.record, record.model_dump_json())

    def read_port(self) -> int:
        """Return the port of the last start; 0 if it is not known."""
        try:
            port = int(read_own(self.port, DataDirError))
        except (OSError, ValueError):
            return 0
        return port if 0 < port <= LAST_PORT else 0

    def read_passwords(self) -> dict[str, str]:
        """Return the passwords by user name; empty if there is no file yet.

        Raises:
            DataDirError: the file exists but cannot be read, could be another user's, or can be read by others.
        """
        try:
            return _PASSWORDS.validate_json(read_own_secret(self.credentials, DataDirError))
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            msg = f"{self.credentials} is damaged or unreadable; restore it, or remove it to have new passwords made"
            raise DataDirError(msg) from error

    def ensure_passwords(self, users: Iterable[str]) -> dict[str, str]:
        """Return the passwords by user name, after creating one for each user without.

        Raises:
            DataDirError: the file exists but cannot be read.
        """
        passwords = self.read_passwords()
        missing = [user for user in users if user not in passwords]
        if missing:
            passwords |= {user: secrets.token_urlsafe(PASSWORD_BYTES) for user in missing}
            write_private(self.credentials, json.dumps(passwords, indent=2) + "\n")
        return passwords


class DirectoryLock:
    """The exclusive use of a data directory; the operating system releases it when this process ends in any way."""

    def __init__(self, directory: DataDir) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            DataDirError: another process uses the directory, or it cannot be written to.
        """
        try:
            descriptor = os.open(self._directory.lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise unusable(self._directory.root, error) from error
        try:
            lock_open_file(descriptor)
        except OSError as error:
            os.close(descriptor)
            msg = f"{self._directory.root} is already in use by another custody process"
            raise DataDirError(msg) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock; no effect if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


if sys.platform == "win32":
    import msvcrt

    def lock_open_file(descriptor: int) -> None:
        """Take the exclusive lock on an open file, until it is closed; raises OSError if another process has it."""
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def lock_open_file(descriptor: int) -> None:
        """Take the exclusive lock on an open file, until it is closed; raises OSError if another process has it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically by one that only its owner can read; after a crash the old or the new one is there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
