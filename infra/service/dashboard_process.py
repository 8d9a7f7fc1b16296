"""The dashboard that `custody up` starts beside the service: a process of its own, which is started again if it ends.

It reads the pool's log as every dashboard does, so whatever becomes of it, the service does not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import TYPE_CHECKING

from infra.host.atomic_file import FileWriteError, atomic_file
from infra.settings.contradictions import differing

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from infra.nats.auth import Auth
    from infra.settings.settings import Settings

_LOG = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
PORTS_TRIED = 20
"""Ports from the wanted one on, before any free one is taken."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0
"""A dashboard that ran for so long is started again after the first pause."""
STOP_S = 3.0
CONFIG = "dashboard.toml"
_CREDENTIALS = ("nats", "writer_password", "responder_password", "operator_password", "config")
"""Settings, by the beginnings of their names, that the dashboard gets otherwise, or not at all."""


class DashboardProcess:
    """One `custody dashboard` on a loopback port, kept running from `start` to `stop`."""

    def __init__(self, settings: Settings, url: str, auth: Auth) -> None:
        """`url`, `auth`: the broker, and the credentials that the dashboard connects with."""
        self._settings = settings
        self._url = url
        self._auth = auth
        self._process: Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.port = free_port(settings.dashboard_port)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.port}/"

    async def start(self) -> None:
        """Start it, and keep it running from now on."""
        self._keeping = asyncio.create_task(self._keep(), name="dashboard")

    async def stop(self) -> None:
        """End it."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began_s = time.monotonic()
            why = await self._run_once()
            if time.monotonic() - began_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            _LOG.warning("the dashboard ended (%s); starting it again in %g s", why, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _run_once(self) -> str:
        """Run one process to its end; return how it ended."""
        try:
            process = await self._spawn()
        except (OSError, FileWriteError) as error:
            return str(error)
        try:
            return f"status {await process.wait()}"
        finally:
            if process.returncode is None:
                await _end(process)

    async def _spawn(self) -> Process:
        config = write_config(self._settings)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "infra.cli.main", "dashboard", "--config", str(config)),
            *("--host", LOOPBACK, "--port", str(self.port), "--with-parent"),
            env=self._environment(),
            # It ends when this pipe is closed, which the system does if this process is killed.
            stdin=PIPE,
            stdout=DEVNULL,
            start_new_session=os.name != "nt",
        )

    def _environment(self) -> dict[str, str]:
        """Return this process's environment, with the broker and the credentials in place of all settings."""
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("CUSTODY_")}
        kept["CUSTODY_NATS"] = self._url
        if self._auth.user is not None:
            kept |= {"CUSTODY_NATS_USER": self._auth.user, "CUSTODY_NATS_PASSWORD": self._auth.password or ""}
        return kept


def free_port(wanted: int) -> int:
    """Return a loopback port that is free now: the wanted one, one of the next, else any."""
    for port in (*range(wanted, min(wanted + PORTS_TRIED, 65_536)), 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            if os.name != "nt":
                # As the server will: a port whose connections were closed lately is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    return wanted


def write_config(settings: Settings) -> Path:
    """Write the settings that differ from the defaults, no secret among them, for the dashboard; return the file.

    Raises:
        FileWriteError: the data directory cannot be written to.
    """
    changed = {name for name in differing(settings) if not name.startswith(_CREDENTIALS)} | {"pool", "data_dir"}
    values = settings.model_dump(mode="json", include=changed)
    values["data_dir"] = str(settings.data_dir.expanduser().resolve())
    lines = [f"{name} = {json.dumps(values[name])}\n" for name in sorted(values) if values[name] is not None]
    file = Path(values["data_dir"]) / CONFIG
    with atomic_file(file) as path:
        path.write_text("# Written by `custody up` for the dashboard that it starts.\n" + "".join(lines), "utf-8")
    return file


async def _end(process: Process) -> None:
    """Ask a process to end, and kill it if it does not."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
