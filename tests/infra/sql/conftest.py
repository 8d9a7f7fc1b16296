"""A read model in each kind of database, beside a log in memory that holds a golden history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from domain.rules import Rules
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.ports import NewMessage
from handlers.projector.projector import Projector
from handlers.projector.read_model import Source
from infra.codec import CloudEventsCodec
from infra.sql.database import Database, parse_url
from infra.sql.sql_read_model import SqlReadModel
from projections.read_models.table_projection import TableChanges, TableProjection
from tests.golden.make import HISTORIES
from tests.support.memory_log import MemoryEventLog
from tests.support.read_models import Rows, contents, expected, position
from tests.support.scenario import Scenario
from tests.support.virtual_clock import VirtualClock

POOL = "default"
RULES = Rules(branch_template="task/{task_id}/{attempt}")
CODEC = CloudEventsCodec(POOL)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/read-model.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def history() -> list[NewMessage]:
    """The log of tasks of which everything became that can."""
    return history_of("tasks")


def history_of(name: str) -> list[NewMessage]:
    scenario = Scenario(RULES)
    HISTORIES[name](scenario)
    return [NewMessage(each.subject, each.body, dict(each.headers)) for each in scenario.messages]


class Site:
    """A log, a database, and projectors between them."""

    def __init__(self, url: str, history: list[NewMessage]) -> None:
        self.url = url
        self.clock = VirtualClock()
        self.log = MemoryEventLog(POOL, history)
        self.told: list[str] = []
        self._databases: list[Database] = []
        self._reader: Database | None = None

    def database(self) -> Database:
        made = Database(parse_url(self.url))
        self._databases.append(made)
        return made

    def model(self, *, rebuild: bool = False, pool: str = POOL) -> SqlReadModel:
        """A read model with a connection of its own, as another process would have."""
        return SqlReadModel(self.database(), pool, self.clock, rebuild=rebuild)

    def projector(self, model: SqlReadModel | None = None, *, max_events: int = 7) -> Projector[TableChanges]:
        async def fold_until(position: int) -> Memory:
            memory = Memory(POOL, RULES, CODEC, outcomes=0)
            await catch_up(memory, self.log, until=position)
            return memory

        return Projector(
            Source(self.log, CODEC, fold_until),
            model or self.model(),
            TableProjection,
            self.clock,
            self.told.append,
            max_events=max_events,
        )

    async def catch_up(self, model: SqlReadModel | None = None) -> Projector[TableChanges]:
        """Let a projector run to the log's end, whatever it has to wait for."""
        projector = self.projector(model)
        await self.clock.finish(asyncio.ensure_future(projector.run(follow=False)))
        return projector

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        if self._reader is None:
            self._reader = self.database()
        return await self._reader.run(work)

    async def contents(self) -> Rows:
        """What readers see, by table and key."""
        found: Rows = await self.read(contents)
        return found

    async def position(self) -> int:
        return int(await self.read(position))

    def expected(self, until: int | None = None) -> Rows:
        """The rows that the fold of the log comes to."""
        return expected(POOL, RULES, self.log.messages[:until])

    async def close(self) -> None:
        for each in self._databases:
            await each.close()


@pytest.fixture
async def site(url: str, history: list[NewMessage]) -> AsyncIterator[Site]:
    made = Site(url, history)
    yield made
    await made.close()
