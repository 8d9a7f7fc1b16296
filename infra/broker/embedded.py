"""A nats-server as a child process, for `custody up`, the demo and the tests."""

import asyncio
import json
import os
import re
import signal
from asyncio.subprocess import Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.broker import process
from infra.broker.binary import find_binary
from infra.broker.data_dir import BrokerRecord, DataDir, DirectoryLock, unusable, write_private
from infra.broker.users import OPERATOR, RESPONDER, STRICT_OPERATOR, WRITER, BrokerUser
from infra.nats.auth import Auth

LISTEN_HOST = "127.0.0.1"
LOG_SIZE_BYTES = 10 * 1024 * 1024
LOG_FILES = 3
LOG_TAIL_LINES = 12
POLL_INTERVAL_S = 0.01
ROOM_INTERVAL_S = 1.0
"""How often a full disk is looked at for room."""
WRITE_ERROR_INTERVAL_S = 1.0
_WRITE_ERROR = re.compile(rb"(?:critical write error: .*: |JetStream (?=file resource limits))([^:\n]+)\n")
MAX_PAYLOAD_BYTES = 1024 * 1024
"""The broker's limit on a message; the largest event, with a payload and a hand-off, takes about 300 KiB."""


class BrokerStartError(Exception):
    """The broker did not start, or another one blocks it. The first line says why; its log may follow."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How an embedded broker runs."""

    port: int = 0
    """Where it listens on the loopback interface; 0 takes that of the last start, if it is free, else a free one."""
    sync_interval: str = "always"
    """How often the file store is flushed to disk. With `always` an acknowledged event is on disk; tests use a duration
    such as `2m`."""
    enforce_users: bool = True
    """Whether clients must give a user and password. Without, any client may do anything."""
    extra_users: tuple[BrokerUser, ...] = ()
    """Users beside the service's own three, such as `agent_user("default", "a1")`."""
    strict_inboxes: bool = False
    """Whether `operator` hears `_INBOX.operator.>` only, which all its clients have to set as their inbox prefix."""
    max_memory_bytes: int | None = None
    """Limit on memory-backed streams; None for the server's default."""
    binary: Path | None = None
    """The nats-server to use; None to search for one."""
    start_timeout_s: float = 30.0
    """How long a start may take; recovering a large log takes about a second per million events."""
    stop_timeout_s: float = 10.0
    """How long a stop may take before the broker is killed."""


class EmbeddedBroker:
    """One nats-server on one data directory.

    Start and stop it in the same event loop, as `async with` does. A stopped or killed broker can be started again, on
    the same port. The broker ends with this process: on Linux at once, even if this process is killed; elsewhere the
    next start on the directory terminates an orphaned broker.
    """

    def __init__(self, data_dir: Path, options: BrokerOptions | None = None) -> None:
        self.directory = DataDir.at(data_dir)
        self.options = options or BrokerOptions()
        self._lock = DirectoryLock(self.directory)
        self._process: Process | None = None
        self._passwords: dict[str, str] = {}
        self._port = self.options.port
        self._log_start = 0

    @property
    def url(self) -> str:
        """Where clients connect, without credentials. Only after a start."""
        if not self._port:
            msg = "the broker has not been started"
            raise RuntimeError(msg)
        return f"nats://{LISTEN_HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The running server's process id; None if it does not run."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def credentials(self, user: str) -> dict[str, str]:
        """Return `user` and `password` as `nats.connect` takes them; empty if the broker requires none.

        Raises:
            KeyError: the broker has no such user.
        """
        return {"user": user, "password": self._passwords[user]} if self.options.enforce_users else {}

    def auth(self, user: str) -> Auth:
        """Return them as `infra.nats.connection.connect` takes them; no user if the broker requires none.

        Raises KeyError.
        """
        access = self.credentials(user)
        return Auth(user=access.get("user"), password=access.get("password"))

    async def start(self) -> str:
        """Start the broker; return its URL once it answers.

        Raises:
            DataDirError: the data directory is in use, damaged, full or not writable.
            BrokerBinaryError: no usable nats-server.
            BrokerStartError: it ended or did not answer within `start_timeout_s`.
        """
        if self.pid is not None:
            return self.url
        self.directory.create()
        self._lock.acquire()
        try:
            binary = await find_binary(self.options.binary)
            await self._terminate_orphan()
            self._port = self._port or await self._last_port()
            self._write_config()
            self._process = await self._spawn(binary)
            self._port = await self._wait_ready(self._process)
            users = self.options.enforce_users
            write_private(self.directory.port, f"{self._port}\n")
            self.directory.write_record(BrokerRecord(url=self.url, pid=self._process.pid, users=users))
        except BaseException as error:
            await self._end()
            self._lock.release()
            if isinstance(error, OSError):
                raise unusable(self.directory.root, error) from error
            raise
        return self.url

    async def stop(self) -> None:
        """Terminate the broker, after `stop_timeout_s` by force; no effect if it is not running."""
        await self._end()
        self._leave()

    async def kill(self) -> None:
        """Kill the broker, as a crash would; `start` restarts it on the same port and data."""
        await self._end(by_force=True)
        self._leave()

    async def wait(self) -> int:
        """Wait until the server ends, by whatever cause; return its exit status (negative: the signal)."""
        if self._process is None:
            msg = "the broker has not been started"
            raise RuntimeError(msg)
        return await self._process.wait()

    async def write_error(self) -> str:
        """Wait until the server cannot write to its store; return its reason, such as `no space left on device`.

        From then on it acknowledges no append until it is restarted, even if there is space again. It reports this only
        in its log.
        """
        read_to = self._log_start
        while True:
            with suppress(OSError), self.directory.log.open("rb") as log:
                # A log that is shorter than before was rotated.
                log.seek(read_to if read_to <= os.fstat(log.fileno()).st_size else 0)
                found = _WRITE_ERROR.search(lines := log.read())
                if found:
                    return found[1].decode("utf-8", "replace")
                read_to = log.tell() - len(lines) + lines.rfind(b"\n") + 1
            await asyncio.sleep(WRITE_ERROR_INTERVAL_S)

    async def restart_with_room(self) -> None:
        """Wait until the data directory can be written to, then restart the server, which tries no write until then.

        Raises what `start` raises.
        """
        while not await asyncio.to_thread(self.directory.has_room):  # noqa: ASYNC110 # room on a disk has no event
            await asyncio.sleep(ROOM_INTERVAL_S)
        await self.kill()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def config(self) -> dict[str, Any]:
        """Return the server's configuration, to be written as JSON, which is nearly a subset of its language.

        The language lacks JSON's escapes of characters beyond ASCII. So paths are relative to the directory where the
        server is started, which may have any name.
        """
        directory = self.directory
        jetstream: dict[str, Any] = {
            "store_dir": ".",
            "sync_interval": self.options.sync_interval,
        }
        if self.options.max_memory_bytes is not None:
            jetstream["max_memory_store"] = self.options.max_memory_bytes
        config: dict[str, Any] = {
            "server_name": "custody-embedded",
            "listen": f"{LISTEN_HOST}:{self._port or -1}",
            "ports_file_dir": ".",
            "pid_file": directory.pid_file.name,
            "logfile": directory.log.name,
            "logfile_size_limit": LOG_SIZE_BYTES,
            "logfile_max_num": LOG_FILES,
            "max_payload": MAX_PAYLOAD_BYTES,
            "jetstream": jetstream,
        }
        if self.options.enforce_users:
            config["authorization"] = {
                "users": [
                    {
                        "user": user.name,
                        "password": self._passwords[user.name],
                        "permissions": user.permissions(),
                    }
                    for user in self._users()
                ]
            }
        return config

    async def _last_port(self) -> int:
        """Return the port of the last start on the directory; 0 if there is none, or something else listens there."""
        port = self.directory.read_port()
        return 0 if port and await _is_taken(port) else port

    def _users(self) -> tuple[BrokerUser, ...]:
        operator = STRICT_OPERATOR if self.options.strict_inboxes else OPERATOR
        return (WRITER, RESPONDER, operator, *self.options.extra_users)

    def _write_config(self) -> None:
        if self.options.enforce_users:
            self._passwords = self.directory.ensure_passwords(user.name for user in self._users())
        for stale in self.directory.broker.glob("*.ports"):
            stale.unlink(missing_ok=True)
        write_private(self.directory.config, json.dumps(self.config(), indent=2) + "\n")

    async def _terminate_orphan(self) -> None:
        """Terminate a broker whose starter has ended: this process has the lock, so the broker is not in use."""
        pid = process.find_orphan(self.directory)
        if pid is not None and not await process.terminate(pid, self.directory, self.options.stop_timeout_s):
            msg = f"a broker from an earlier run (pid {pid}) is still using {self.directory.root} and does not end"
            raise BrokerStartError(msg)

    async def _spawn(self, binary: Path) -> Process:
        # The log of this start begins here; an error quotes nothing older.
        self._log_start = self.directory.log.stat().st_size if self.directory.log.exists() else 0
        with self.directory.console.open("wb") as console:
            return await asyncio.create_subprocess_exec(
                *process.command(binary, self.directory.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd=self.directory.broker,
                # The terminal's Ctrl-C must reach only the service, which then stops the broker.
                start_new_session=os.name != "nt",
                creationflags=process.CREATION_FLAGS,
            )

    async def _wait_ready(self, process: Process) -> int:
        """Wait for the ports file, then for INFO on the port in it; return the port."""
        try:
            async with asyncio.timeout(self.options.start_timeout_s):
                while (port := self._announced_port(process.pid)) is None or not await _sends_info(port):
                    if process.returncode is not None:
                        msg = f"the broker ended at once (status {process.returncode}): {self._log_tail()}"
                        raise BrokerStartError(msg)
                    await asyncio.sleep(POLL_INTERVAL_S)
        except TimeoutError:
            msg = f"the broker did not answer within {self.options.start_timeout_s:g} s: {self._log_tail()}"
            raise BrokerStartError(msg) from None
        return port

    def _announced_port(self, pid: int) -> int | None:
        for path in self.directory.broker.glob(f"*_{pid}.ports"):
            match = re.search(r"nats://[^\"]*:(\d+)\"", path.read_text(encoding="utf-8"))
            if match:
                return int(match[1])
        return None

    def _log_tail(self) -> str:
        """Return the server's output of this start: the last fatal error if there is one, else the last lines."""
        text = self.directory.console.read_text(encoding="utf-8", errors="replace")
        if self.directory.log.exists():
            with self.directory.log.open("rb") as log:
                log.seek(self._log_start)
                text += log.read().decode("utf-8", "replace")
        lines = text.splitlines()
        fatal = [line.partition("[FTL] ")[2] for line in lines if "[FTL] " in line]
        if fatal or not lines:
            return fatal[-1] if fatal else "it wrote no log"
        return "\n  ".join((lines[-1], *lines[-LOG_TAIL_LINES:-1]))

    def _leave(self) -> None:
        self.directory.record.unlink(missing_ok=True)
        self._lock.release()

    async def _end(self, *, by_force: bool = False) -> None:
        process = self._process
        if process is None:
            return
        # One signal: with a second one, `subprocess` takes the exit status of a process that the first one ended.
        if process.returncode is None and by_force:
            process.kill()
        elif process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.options.stop_timeout_s)
        except TimeoutError:
            # It may have ended just now.
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _is_taken(port: int) -> bool:
    try:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), LISTEN_HOST, port)
    except OSError:
        return True
    server.close()
    await server.wait_closed()
    return False


async def _sends_info(port: int) -> bool:
    """Whether a NATS server sends INFO on the port."""
    try:
        reader, writer = await asyncio.open_connection(LISTEN_HOST, port)
    except OSError:
        return False
    try:
        return (await reader.readline()).startswith(b"INFO ")
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
