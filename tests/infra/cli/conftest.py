"""The command line, run in this process against a real service on the session's broker."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from handlers.ports import NewMessage
from infra.broker.embedded import EmbeddedBroker
from infra.cli.main import cli
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.service import agent_path
from infra.service.serving import PoolServer
from infra.settings.settings import Settings

Append = Callable[[NewMessage], Awaitable[int]]


BAD_SELECTIONS = [
    ("--task NOPE", "no task NOPE was submitted to pool "),
    ("--agent NOPE", "no agent NOPE was registered in pool "),
    ("--task \u00fc", "'\u00fc' is no task's id"),
    ("--agent a.>", "'a.>' is no name"),
    ("--from 99", "--from: position 99 is past the end of the log, 2"),
    ("--to someday", "--to 'someday' is neither a position nor a time"),
    ("--from 2 --to 1", "--from 2 (position 2) is after --to 1 (position 1)"),
]
"""Options that no command takes which selects events by a task, an agent and a range, and what it says of each."""


class Result(NamedTuple):
    """What a run of the command line left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Awaitable[Result]]


class Terminal(io.StringIO):
    """Standard output that a person looks at."""

    def isatty(self) -> bool:
        return True


def invoke(*arguments: str, terminal: bool = False) -> Result:
    """Run the command line; blocks."""
    out, err = (Terminal() if terminal else io.StringIO()), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli()(list(arguments), prog_name="custody")
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Result(status, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and no CUSTODY_ variable."""
    for name in [name for name in os.environ if name.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def at_broker(broker: EmbeddedBroker, pool: str, monkeypatch: pytest.MonkeyPatch) -> EmbeddedBroker:
    """The environment names the session's broker and a fresh pool."""
    monkeypatch.setenv("CUSTODY_NATS", broker.url)
    monkeypatch.setenv("CUSTODY_OPERATOR_PASSWORD", broker.credentials("operator")["password"])
    monkeypatch.setenv("CUSTODY_POOL", pool)
    return broker


@pytest.fixture
async def run(at_broker: EmbeddedBroker) -> Run:
    """Runs the command line in a thread, while the service runs in this loop."""

    async def run_in_thread(*arguments: str, terminal: bool = False) -> Result:
        return await asyncio.to_thread(invoke, *arguments, terminal=terminal)

    return run_in_thread


@pytest.fixture
async def service(at_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PoolServer]:
    """A service for the pool. A slow machine is no outage to it, which would be an event of its own in the log."""
    monkeypatch.setattr(agent_path, "OUT_OF_REACH_S", 60.0)
    server = PoolServer(Settings(), at_broker.url)
    await server.start(at_broker.auth)
    yield server
    await server.stop()


@pytest.fixture
async def ask(run: Run, service: PoolServer) -> Run:
    """Runs a command that must succeed."""

    async def run_well(*arguments: str, terminal: bool = False) -> Result:
        result = await run(*arguments, terminal=terminal)
        assert result.status == 0, result.err
        return result

    return run_well


@pytest.fixture
async def append(at_broker: EmbeddedBroker, pool: str) -> Append:
    """Writes something into the log that no service wrote."""

    async def write(message: NewMessage) -> int:
        connection = await connect(at_broker.url, name="test", auth=at_broker.auth("writer"))
        log = await NatsEventLog.open(connection, pool)
        try:
            return await log.append([message], expected_position=await log.last_position())
        finally:
            await log.close()
            await connection.close()

    return write
