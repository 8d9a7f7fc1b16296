"""`custody project` as a process: killed in the middle, and with a broker and a database that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.rules import Rules
from handlers.ports import MAX_BATCH_MESSAGES, NewMessage, StoredMessage
from handlers.projector.read_model import ReadModelError, ReadModelUnavailableError
from infra.broker.embedded import EmbeddedBroker
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from infra.sql.database import Database, parse_url
from tests.infra.cli.conftest import invoke
from tests.support import read_models
from tests.support.postgres import running_postgres
from tests.support.until import until
from tests.system.processes import delete_log
from tests.system.projectors import POOL, Projector, environment, projecting, ran, story

pytestmark = [pytest.mark.system]

SMALL_WRITES = "import infra.cli.commands.project as p; p.SQL_EVENTS = 20; from infra.cli.main import main; main()"
DYING = """
import os, signal
import infra.cli.commands.project as command, infra.sql.sql_read_model as model
from infra.cli.main import main

command.SQL_EVENTS, left = 20, 5

def moment(name):
    global left
    left -= name == "{moment}"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def write_rows(*args, replace):
    write_all(*args, replace=replace)
    # The events come last, and the watermark after them.
    moment("when all rows are written" if not replace else "before")

async def write(self, *args):
    await written(self, *args)
    moment("when it is committed")

write_all, model.write_rows = model.write_rows, write_rows
written, model.SqlReadModel.write = model.SqlReadModel.write, write
main()
"""
"""Dies by SIGKILL at the fifth write of 20 events."""
EVENTS = 300


class Site:
    """A log on a broker, and a database."""

    def __init__(self, broker: EmbeddedBroker, url: str) -> None:
        self.broker = broker
        self.url = url
        self._database = Database(parse_url(url))
        self.messages: list[StoredMessage] = []

    async def append(self, messages: list[NewMessage]) -> None:
        connection = await connect(self.broker.url, name="test", auth=self.broker.auth("writer"))
        await ensure_stream(connection, POOL)
        log = await NatsEventLog.open(connection, POOL)
        for start in range(0, len(messages), MAX_BATCH_MESSAGES):
            batch = messages[start : start + MAX_BATCH_MESSAGES]
            await log.append(batch, expected_position=len(self.messages))
            for each in batch:
                self.messages.append(StoredMessage(len(self.messages) + 1, each.subject, each.body, each.headers))
        await log.close()
        await connection.close()

    async def delete_log(self) -> None:
        """Delete the stream, as an administrator of the broker can."""
        await delete_log(self.broker)
        self.messages.clear()

    async def reaches(self, position: int) -> None:
        """Wait until readers see a position."""
        reached = 0

        async def there() -> bool:
            nonlocal reached
            reached = await self.position()
            return reached >= position

        await until(f"position {position}", there, lambda: f"position {reached}")

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
async def site(users_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Site]:
    """A log on a broker, and a database in a file."""
    made = Site(users_broker, f"sqlite:///{tmp_path}/pool.db")
    yield made
    await made.close()


@asynccontextmanager
async def following(site: Site, directory: Path, log: list[NewMessage]) -> AsyncIterator[Projector]:
    """A projector that has caught up with these messages and goes on."""
    await site.append(log)
    async with projecting(SMALL_WRITES, directory, site.broker, "--sql", site.url) as running:
        await site.reaches(len(site.messages))
        yield running


@pytest.mark.parametrize(("moment", "kept"), [("when all rows are written", 80), ("when it is committed", 100)])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_kill_9_in_the_middle_counts_no_event_twice(
    users_broker: EmbeddedBroker,
    tmp_path: Path,
    kind: str,
    moment: str,
    kept: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"sqlite:///{tmp_path}/pool.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    site = Site(users_broker, url)
    await site.append(story(EVENTS))
    async with projecting(DYING.format(moment=moment), tmp_path, users_broker, "--sql", url) as killed:
        assert await killed.end() == -signal.SIGKILL, killed.said
    assert await site.check() == kept
    for name, value in environment(users_broker).items():
        monkeypatch.setenv(name, value)
    last = await asyncio.to_thread(invoke, "project", "--sql", url, "--once")
    assert (last.status, last.err) == (0, "")
    assert last.out.startswith(f"stopped at position {EVENTS}, 0 events behind; {EVENTS - kept} events written in ")
    assert await site.check() == EVENTS
    await site.close()


async def test_a_broker_and_a_database_that_go_are_waited_for(users_broker: EmbeddedBroker, tmp_path: Path) -> None:
    log = story(300)
    with running_postgres() as server:
        site = Site(users_broker, server.url())
        await site.append(log[:100])
        async with projecting(SMALL_WRITES, tmp_path, users_broker, "--sql", server.url()) as running:
            await site.reaches(100)
            await users_broker.kill()
            await users_broker.start()
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


async def test_a_rebuild_after_the_restore_of_an_older_export_ends(site: Site, tmp_path: Path) -> None:
    broker, url, log = site.broker, site.url, story(100)
    before, last = 100, len(log)
    await site.append(log[:before])
    assert (await ran(broker, tmp_path, "export", "old.custody"))[0] == 0
    kept = list(site.messages)
    await site.append(log[before:])
    assert (await ran(broker, tmp_path, "project", "--sql", url, "--once"))[0] == 0
    await site.delete_log()
    assert (await ran(broker, tmp_path, "import", "old.custody"))[0] == 0
    assert await ran(broker, tmp_path, "project", "--sql", url, "--once") == (
        1,
        (
            f"custody: {url}: it stands at position {last}, and the log ends at {before}; "
            "--rebuild makes it anew from the log"
        ),
    )
    assert (await ran(broker, tmp_path, "project", "--sql", url, "--rebuild", "--once"))[0] == 0
    site.messages = kept
    assert await site.check() == before


async def test_a_projector_that_runs_recognises_a_log_that_took_the_place_of_its_own(
    site: Site, tmp_path: Path
) -> None:
    async with following(site, tmp_path, story(100)[:50]) as running:
        await site.delete_log()
        await site.append(story(100, agents=3))
        assert await running.end() == 1
    assert running.said[-1].startswith(f"custody: {site.url}: the log ")
    # What it sees depends on how far the new log is when it looks.
    assert any(seen in running.said[-1] for seen in ("at position 50 it holds another", "before 50")), running.said[-1]
    assert running.said[-1].endswith("; --rebuild makes it anew from the log")
    assert await site.position() == 50


async def test_a_log_that_is_deleted_is_said_and_its_restore_is_waited_for(site: Site, tmp_path: Path) -> None:
    log = story(100)
    async with following(site, tmp_path, log[:50]) as running:
        await site.delete_log()
        await running.line("the log is gone (")
        await site.append(log)
        await site.reaches(len(log))
        assert await running.end(signal.SIGTERM) == 0
    assert await site.check() == len(log)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("custody_g1_leases", "custody_g1_leases"),
        ("custody_generations", "its register custody_generations is gone, or has no live tables"),
    ],
)
async def test_a_table_that_is_dropped_while_nothing_happens_is_one_line(
    site: Site, tmp_path: Path, table: str, why: str
) -> None:
    async with following(site, tmp_path, story(100)) as running:
        with contextlib.closing(sqlite3.connect(tmp_path / "pool.db", isolation_level=None)) as database:
            database.execute(f"DROP TABLE {table}")
        assert await running.end() == 1
    # The projector may have met the lock of the very drop, and said that it waits.
    *waited, said = (each for each in running.said if each.startswith("custody: "))
    assert [each for each in waited if "locked" not in each] == []
    assert why in said
    assert said.endswith("; --rebuild makes it anew from the log")
    assert await ran(site.broker, tmp_path, "project", "--sql", site.url, "--rebuild", "--once") == (0, "")
    assert await site.check() == len(site.messages)
