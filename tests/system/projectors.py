"""`custody project` in processes of their own, beside a log that the test writes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path

from handlers.ports import NewMessage
from infra.broker.embedded import EmbeddedBroker
from infra.codec import CloudEventsCodec
from tests.benchmarks.long_log import AGENTS, START, Story
from tests.support.checkout import ROOT
from tests.support.until import PATIENCE_S, until

POOL = "default"


def story(count: int, *, agents: int = AGENTS, start: datetime = START) -> list[NewMessage]:
    """Return the messages of a log that begins at a time."""
    messages, _ = CloudEventsCodec(POOL).encode(list(Story(POOL, agents=agents, start=start).events(count)), None)
    return messages


class Projector:
    """The command in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.said: list[str] = []
        self._readers = [
            asyncio.ensure_future(self._read(each)) for each in (process.stdout, process.stderr) if each is not None
        ]

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.said.append(line.decode().rstrip())

    async def line(self, part: str) -> None:
        """Wait for a line with these words."""

        async def told() -> bool:
            return any(part in each for each in self.said)

        await until(f"a line with {part!r}", told, lambda: self.said)

    async def end(self, by: signal.Signals | None = None) -> int:
        """End it, or wait for its end; return the exit status."""
        if by is not None and self._process.returncode is None:
            self._process.send_signal(by)

        async def over() -> bool:
            return self._process.returncode is not None and all(each.done() for each in self._readers)

        await until("its end", over, lambda: self.said)
        return self._process.returncode or 0


def environment(broker: EmbeddedBroker) -> dict[str, str]:
    """Return what tells the command where the broker is, and who it is there."""
    return {
        "CUSTODY_NATS": broker.url,
        "CUSTODY_POOL": POOL,
        "CUSTODY_OPERATOR_PASSWORD": broker.credentials("operator")["password"],
        "CUSTODY_WRITER_PASSWORD": broker.credentials("writer")["password"],
    }


MAIN = "from infra.cli.main import main; main()"


async def _started(program: str, arguments: Sequence[str], broker: EmbeddedBroker, directory: Path) -> Process:
    """Start the command line as a program of some Python; it is told where the broker is, and who it is there."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=directory,
        env={**os.environ, **environment(broker), "PYTHONPATH": str(ROOT)},
    )


async def ran(broker: EmbeddedBroker, directory: Path, *arguments: str, program: str = MAIN) -> tuple[int, str]:
    """Run the command line as a process to its end; return its exit status and what it said on standard error."""
    process = await _started(program, arguments, broker, directory)
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode().rstrip()


def projecting(
    program: str, directory: Path, broker: EmbeddedBroker, *arguments: str
) -> AbstractAsyncContextManager[Projector]:
    """Run `custody project` as a program of some Python; whatever happens, it is gone when the block is left."""
    return commanding(program, directory, broker, "project", *arguments)


@asynccontextmanager
async def commanding(
    program: str, directory: Path, broker: EmbeddedBroker, *arguments: str
) -> AsyncIterator[Projector]:
    """Run a command as a program of some Python; whatever happens, it is gone when the block is left."""
    running = Projector(await _started(program, arguments, broker, directory))
    try:
        yield running
    finally:
        await running.end(signal.SIGKILL)
