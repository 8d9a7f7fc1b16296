"""Workers as processes of their own, which tests kill, stop and starve, and a client beside them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from custody_client import Client, Event, Task
from tests.client.polling import eventually
from tests.support.checkout import ROOT
from tests.system.processes import Service
from tests.system.processes import client as bare_client
from tests.system.streams import read_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

SCRIPT = ROOT / "tests" / "client" / "hard_worker.py"
LEASE = {"mode": "fixed", "lease_s": 2.0, "grace_s": 0.5}
"""Long enough for a loaded machine, and short enough to wait for its end."""
RESULT_S = 60.0


class Fleet:
    """Workers as processes, and a client beside them."""

    def __init__(self, directory: Path, environment: dict[str, str], options: dict[str, str]) -> None:
        """`environment`: how workers find the pool. `options`: how a bare client connects."""
        self.directory = directory
        self.journal = directory / "journal"
        self.journal.touch()
        self._go = directory / "go"
        self.pool = environment.get("CUSTODY_POOL", "default")
        self._environment = environment
        self._options = options
        self._workers: list[Process] = []

    async def worker(self, name: str, *options: str) -> Process:
        """Start a worker; it is killed at the end of the test."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CUSTODY_")}
        command = ("-m", "custody_client.cli", f"{SCRIPT}:worker", "--drain", "0s", *options)
        environment = {**kept, **self._environment, "CUSTODY_AGENT": name}
        with (self.directory / f"{name}.log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=self.directory, env=environment, stdout=DEVNULL, stderr=log
            )
        self._workers.append(process)
        return process

    async def end(self) -> None:
        """Kill the workers that are left."""
        for process in self._workers:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                await process.wait()

    def log(self, name: str) -> str:
        """What the workers of a name have logged."""
        return (self.directory / f"{name}.log").read_text(encoding="utf-8")

    def job(self, **fields: Any) -> dict[str, Any]:
        """A payload."""
        return {"journal": str(self.journal), "go": str(self._go), **fields}

    def let_go(self) -> None:
        """Let the handlers go on that stay where they are."""
        self._go.touch()

    def notes(self, what: str) -> list[str]:
        """The journal's lines that say so."""
        return [line for line in self.journal.read_text().splitlines() if what in line]

    async def noted(self, what: str, times: int = 1) -> None:
        """Wait until the journal says so."""
        await eventually(lambda: len(self.notes(what)) >= times)

    async def events(self, task_id: str) -> Counter[str]:
        """How often each event happened to a task, by the log."""
        async with bare_client(**self._options) as nc:
            log = await read_log(nc, self.pool)
        return Counter(event.name for event in log if event.body["subject"] == f"task/{task_id}")


class Up(NamedTuple):
    """A fleet beside a `custody up` that the test may kill, and a client that finds it again by its directory."""

    fleet: Fleet
    service: Service
    client: Client
    data: Path


def tokens(lines: Iterable[str]) -> list[str]:
    return [line.split()[1] for line in lines]


async def eventually_at(task: Task, percent: int) -> None:
    """Wait until a task has got so far."""
    async with asyncio.timeout(RESULT_S):
        while True:
            if ((await task.state()).percent or 0) >= percent:
                return
            await asyncio.sleep(0.02)


async def eventually_renewed(client: Client, task_id: str, times: int) -> None:
    """Wait until a lease was renewed so often."""
    async with asyncio.timeout(RESULT_S):
        while True:
            lease = (await client.query("task", task_id=task_id))["lease"]
            if lease is not None and lease["renewals"] >= times:
                return
            await asyncio.sleep(0.02)


async def events_of(client: Client, task_id: str) -> AsyncIterator[Event]:
    """The events of a task up to its completion."""
    async for event in client.watch(task_id=task_id, after=0):
        yield event
        if event.name == "completed":
            return
