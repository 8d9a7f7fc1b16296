"""`custody project` as a process: killed in the middle, and with a broker and a database that come and go."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.rules import Rules
from handlers.ports import MAX_BATCH_MESSAGES, NewMessage, StoredMessage
from handlers.read_models import ReadModelError, ReadModelUnavailableError
from infra.codec import CloudEventsCodec
from infra.embedded import BrokerOptions, EmbeddedBroker
from infra.nats import Auth, NatsEventLog, connect, ensure_stream
from infra.sql.database import Database, parse_url
from tests.benchmarks.long_log import Story
from tests.infra.cli.conftest import invoke
from tests.support import read_models
from tests.support.postgres import running_postgres

pytestmark = [pytest.mark.system]

POOL = "default"
SMALL_WRITES = "import infra.cli.projecting as p; p.SQL_EVENTS = 20; from infra.cli.main import main; main()"
EVENTS = 1_500
POLL_S = 0.01
PATIENCE_S = 30


def story(count: int) -> list[NewMessage]:
    messages, _ = CloudEventsCodec(POOL).encode(list(Story(POOL).events(count)), None)
    return messages


class Projector:
    """The command in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.said: list[str] = []
        self._changed = asyncio.Event()
        self._readers = [
            asyncio.ensure_future(self._read(each)) for each in (process.stdout, process.stderr) if each is not None
        ]

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.said.append(line.decode().rstrip())
            self._changed.set()

    async def line(self, part: str) -> None:
        """Wait for a line with these words."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(part in each for each in self.said):
                self._changed.clear()
                await self._changed.wait()

    async def end(self, by: signal.Signals | None = None) -> int:
        """End it, or wait for its end; return the exit status."""
        if by is not None and self._process.returncode is None:
            self._process.send_signal(by)
        async with asyncio.timeout(PATIENCE_S):
            status = await self._process.wait()
            await asyncio.gather(*self._readers)
        return status


def environment(broker: EmbeddedBroker) -> dict[str, str]:
    return {
        "CUSTODY_NATS": broker.url,
        "CUSTODY_POOL": POOL,
        "CUSTODY_OPERATOR_PASSWORD": broker.credentials("operator")["password"],
    }


@asynccontextmanager
async def projecting(directory: Path, broker: EmbeddedBroker, *arguments: str) -> AsyncIterator[Projector]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SMALL_WRITES, "project", *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=directory,
        env={**os.environ, **environment(broker), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    running = Projector(process)
    try:
        yield running
    finally:
        await running.end(signal.SIGKILL)


class Site:
    """A log on a broker, and a database."""

    def __init__(self, broker: EmbeddedBroker, url: str) -> None:
        self._auth = Auth(**broker.credentials("writer"))  # type: ignore[arg-type]
        self._broker = broker
        self._database = Database(parse_url(url))
        self.messages: list[StoredMessage] = []

    async def append(self, messages: list[NewMessage]) -> None:
        connection = await connect(self._broker.url, name="test", auth=self._auth)
        await ensure_stream(connection, POOL)
        log = await NatsEventLog.open(connection, POOL)
        for start in range(0, len(messages), MAX_BATCH_MESSAGES):
            batch = messages[start : start + MAX_BATCH_MESSAGES]
            await log.append(batch, expected_position=len(self.messages))
            for each in batch:
                self.messages.append(StoredMessage(len(self.messages) + 1, each.subject, each.body, each.headers))
        await log.close()
        await connection.close()

    async def reaches(self, position: int) -> None:
        """Wait until readers see a position."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.position() < position:  # noqa: ASYNC110 # as a reader sees it
                await asyncio.sleep(POLL_S)

    async def position(self) -> int:
        try:
            return await self._database.run(read_models.position)
        except (ReadModelError, ReadModelUnavailableError):
            return 0

    async def check(self) -> int:
        """The tables are the fold of the log up to their position; return that."""
        position, found = await self._database.run(
            lambda each: (read_models.position(each), read_models.contents(each))
        )
        assert found == read_models.expected(POOL, Rules(), self.messages[:position])
        return position

    async def close(self) -> None:
        await self._database.close()


@pytest.fixture
async def own_broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    async with EmbeddedBroker(tmp_path / "broker", BrokerOptions(sync_interval="2m")) as running:
        yield running


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_kill_9_in_the_middle_counts_no_event_twice(
    own_broker: EmbeddedBroker,
    tmp_path: Path,
    kind: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"sqlite:///{tmp_path}/pool.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    site = Site(own_broker, url)
    await site.append(story(EVENTS))
    async with projecting(tmp_path, own_broker, "--sql", url) as killed:
        await site.reaches(EVENTS // 5)
        assert await killed.end(signal.SIGKILL) == -signal.SIGKILL
    reached = await site.check()
    assert 0 < reached < EVENTS
    for name, value in environment(own_broker).items():
        monkeypatch.setenv(name, value)
    last = await asyncio.to_thread(invoke, "project", "--sql", url, "--once")
    assert (last.status, last.err) == (0, "")
    assert last.out.startswith(f"stopped at position {EVENTS}, 0 events behind; {EVENTS - reached} events written in ")
    assert await site.check() == EVENTS
    await site.close()


async def test_a_broker_and_a_database_that_go_are_waited_for(own_broker: EmbeddedBroker, tmp_path: Path) -> None:
    log = story(300)
    with running_postgres() as server:
        site = Site(own_broker, server.url())
        await site.append(log[:100])
        async with projecting(tmp_path, own_broker, "--sql", server.url()) as running:
            await site.reaches(100)
            await own_broker.kill()
            await own_broker.start()
            await site.append(log[100:200])
            await site.reaches(200)
            server.stop()
            await site.append(log[200:])
            await running.line("trying again")
            server.start()
            await running.line("it works again, at position")
            await site.reaches(300)
            assert await running.end(signal.SIGTERM) == 0
        assert await site.check() == 300
        assert not any("Traceback" in each for each in running.said)
        assert running.said[-1].startswith("stopped at position 300, 0 events behind; 300 events written in ")
        await site.close()
