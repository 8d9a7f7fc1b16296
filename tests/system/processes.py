"""A service as a process of its own, and bare clients of the broker that it runs on."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nats
from nats.aio.client import Client

from infra.broker.embedded import EmbeddedBroker

START = """
import asyncio, json, sys
from infra.service.log_consent import LogConsent
from infra.service.run import run_serve, run_up
from infra.settings.settings import Settings
how, values = sys.argv[1], json.loads(sys.argv[2])
settings = Settings(**values)
consent = LogConsent("--new-log" in sys.argv, "--accept-loss" in sys.argv)
up = how == "up"
served = run_up(settings, consent=consent) if up else run_serve(settings, values["nats"], consent=consent)
sys.exit(asyncio.run(served))
"""
"""What `custody up` and `custody serve` come to."""
READY_S = 60.0
"""Until a service says or does what it must, on a machine that has other things to do."""
CLOSE_S = 5.0
CONNECT_S = 15.0


class Service:
    """`up` or `serve` in a child process; whatever happens, it is gone when the test is over."""

    def __init__(self, how: str, directory: Path, *arguments: str, **settings: Any) -> None:
        self._how = how
        self._arguments = arguments
        self._directory = directory
        # A page beside each service would cost the tests their time: those that are about it say its port.
        self._settings = {"data_dir": str(directory / "data"), "dashboard_port": 0, **settings}
        self._process: Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.said: list[str] = []
        """Lines on standard output."""
        self.logged: list[str] = []
        """Lines on standard error."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it; `ready` tells when it serves."""
        self.said, self.logged = [], []
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            START,
            self._how,
            json.dumps(self._settings),
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self._directory,
        )
        assert self._process.stdout
        assert self._process.stderr
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, self.said)),
            asyncio.create_task(self._read(self._process.stderr, self.logged)),
        ]

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        while line := await stream.readline():
            lines.append(line.decode().rstrip("\n"))
            self._changed.set()
        self._changed.set()

    async def ready(self) -> Self:
        """Wait until it says that it serves."""
        await self.line(r"ready\b")
        return self

    async def line(self, pattern: str, *, patience_s: float = READY_S) -> str:
        """Wait for a line that matches, on either output."""
        async with asyncio.timeout(patience_s):
            while True:
                for each in (*self.said, *self.logged):
                    if re.search(pattern, each):
                        return each
                assert not all(reader.done() for reader in self._readers), f"ended: {self.said} {self.logged}"
                self._changed.clear()
                await self._changed.wait()

    async def ended(self, *, patience_s: float = READY_S) -> int:
        """Wait for its end; return the exit status."""
        assert self._process is not None
        async with asyncio.timeout(patience_s):
            status = await self._process.wait()
            await asyncio.gather(*self._readers)
        return status

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._process is not None:
            await self.ended()

    async def kill_with_broker(self) -> None:
        """End `up` and the broker that it runs, as a power cut would."""
        broker = json.loads((Path(self._settings["data_dir"]) / "broker.json").read_text())["pid"]
        await self.kill()
        # On Linux the broker is told to end with its parent, and may be gone by now; elsewhere it runs on.
        with contextlib.suppress(ProcessLookupError):
            os.kill(broker, signal.SIGKILL)

    async def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; return the exit status."""
        self.signal(by)
        return await self.ended()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)


def passwords(broker: EmbeddedBroker) -> dict[str, str]:
    """The settings that tell a service its users' passwords."""
    return {f"{user}_password": broker.credentials(user)["password"] for user in ("writer", "responder", "operator")}


def serve(broker: EmbeddedBroker, directory: Path, *arguments: str, **settings: Any) -> Service:
    """`custody serve` at this broker, with its users' passwords."""
    return Service("serve", directory, *arguments, nats=broker.url, **passwords(broker), **settings)


def access(data: Path, user: str = "operator") -> dict[str, str]:
    """What `custody up` leaves for clients in its data directory."""
    url = json.loads((data / "broker.json").read_text())["url"]
    password = json.loads((data / "credentials.json").read_text())[user]
    return {"servers": url, "user": user, "password": password}


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[Client]:
    """A bare client that finds its broker again at once, and is closed without waiting for it."""

    async def ignore(_error: Exception) -> None:
        """A broker that dies is what these tests are about."""

    defaults = {"inbox_prefix": f"_INBOX.{options.get('user', 'test')}".encode(), "connect_timeout": CONNECT_S}
    options = {"reconnect_time_wait": 0.05, "max_reconnect_attempts": -1, **defaults, **options}
    nc = await nats.connect(error_cb=ignore, **options)
    try:
        yield nc
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await nc.close()


@asynccontextmanager
async def operator(broker: EmbeddedBroker) -> AsyncIterator[Client]:
    """A bare client with the operator's rights."""
    async with client(servers=broker.url, **broker.credentials("operator")) as nc:
        yield nc


async def delete_log(broker: EmbeddedBroker, pool: str = "default") -> None:
    """Delete the stream of a pool, as an administrator of the broker can."""
    admin = await nats.connect(broker.url, **broker.credentials("admin"))
    await admin.jetstream().delete_stream(f"CUSTODY_{pool}")
    await admin.close()
