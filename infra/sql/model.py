"""The read model in a database: rows and the mark in one transaction."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from handlers.projector.read_model import Mark, MarkMovedError, ReadModelError, ReadModelUnavailableError, RebuiltError
from infra.sql import generations as gen
from infra.sql.row_writing import put
from infra.sql.schema import REGISTER
from projections.read_models.tables import EVENTS, VERSION

if TYPE_CHECKING:
    from handlers.ports import Clock
    from infra.sql.database import Database
    from projections.read_models.tabulation import Changes

_INDEX_S = 3_600
"""An index over many millions of rows takes minutes."""
_LOG = logging.getLogger(__name__)


class SqlReadModel:
    """The `ReadModel` of one pool in a database. With `rebuild` it is another generation until that has caught up."""

    def __init__(self, database: Database, pool: str, clock: Clock, *, rebuild: bool = False) -> None:
        self._database = database
        self._pool = pool
        self._clock = clock
        self._rebuild = rebuild
        self._generation = 0
        self._indexed = 0
        """The generation that is known to have all its indexes."""
        self.name = database.name

    async def mark(self) -> Mark:
        """How far it is; makes it where there is none, and goes over to the generation that is live."""
        found = await self._database.run(self._find)
        self._generation = found.number
        self._rebuild = self._rebuild and found.status == gen.BUILDING
        return found.mark

    def _find(self, connection: Connection) -> gen.Generation:
        gen.check_encoding(connection)
        gen.lock_schema(connection)
        found = gen.generations(connection)
        for each in found:
            gen.check_pool(each, self._pool)
        live = gen.with_status(found, gen.LIVE)
        if live is None:
            return gen.begin(connection, self._pool, gen.LIVE, self._clock.now())
        if self._rebuild and not 0 < self._generation <= live.number:
            return self._find_building(connection, found)
        gen.check_version(live)
        return live

    def _find_building(self, connection: Connection, found: list[gen.Generation]) -> gen.Generation:
        """Return the generation that a rebuild goes on with: what another one left, else a new one."""
        building = gen.with_status(found, gen.BUILDING)
        if building is not None and building.version == VERSION:
            return building
        if building is not None:
            gen.drop(connection, building.number)
        return gen.begin(connection, self._pool, gen.BUILDING, self._clock.now())

    async def discard_building(self) -> None:
        """Drop what was begun by a rebuild, so that the next mark is that of a new beginning."""
        await self._database.run(self._discard)
        self._generation = 0

    def _discard(self, connection: Connection) -> None:
        gen.lock_schema(connection)
        for each in gen.generations(connection):
            if each.status == gen.BUILDING:
                gen.drop(connection, each.number)

    async def write(self, changes: Changes, before: Mark, after: Mark) -> None:
        """Write rows and the mark in one transaction, provided that it stands at `before`."""
        await self._database.run(lambda connection: self._write(connection, changes, before, after))

    def _write(self, connection: Connection, changes: Changes, before: Mark, after: Mark) -> None:
        row = connection.execute(
            select(REGISTER.c.position, REGISTER.c.hash, REGISTER.c.status)
            .where(REGISTER.c.generation == self._generation)
            .with_for_update()
        ).one_or_none()
        if row is None or row.status == gen.RETIRED:
            raise RebuiltError
        if (row.position, row.hash) != (before.position, before.hash):
            raise MarkMovedError
        for table, rows in changes.replaced.items():
            put(connection, self._generation, table, rows, replace=True)
        if changes.events:
            put(connection, self._generation, EVENTS, changes.events, replace=False)
        connection.execute(
            REGISTER.update()
            .where(REGISTER.c.generation == self._generation)
            .values(**after._asdict(), written_at=self._clock.now())
        )

    async def caught_up(self) -> bool:
        """Make the indexes; switch readers over to what was rebuilt, unless that stands behind what they read."""
        await self._index()
        if not self._rebuild:
            return True
        if not await self._database.run(self._switch):
            return False
        self._rebuild = False
        await self._drop_retired()
        return True

    async def _index(self) -> None:
        """Make what indexes are missing, each in a transaction of its own: rows are many times faster without them."""
        if self._indexed == self._generation:
            return
        number = self._generation
        for index in await self._database.run(lambda connection: gen.missing_indexes(connection, number)):
            await self._database.run(partial(gen.make_index, index=index), statement_s=_INDEX_S)
        self._indexed = number

    def _switch(self, connection: Connection) -> bool:
        gen.lock_schema(connection)
        # Locked, so that the live one cannot move on meanwhile.
        connection.execute(select(REGISTER.c.generation).with_for_update())
        found = {each.number: each for each in gen.generations(connection)}
        mine = found.get(self._generation)
        if mine is None or mine.status == gen.RETIRED:
            raise MarkMovedError
        live = gen.with_status(list(found.values()), gen.LIVE)
        if mine.status == gen.LIVE or live is None:
            return True
        if live.mark.log_id == mine.mark.log_id and live.mark.position > mine.mark.position:
            return False
        gen.set_status(connection, live.number, gen.RETIRED)
        gen.set_status(connection, mine.number, gen.LIVE)
        gen.show(connection, mine.number)
        return True

    async def _drop_retired(self) -> None:
        """Drop what nobody reads any more; where somebody still does, the next rebuild will."""
        try:
            await self._database.run(self._drop_all_retired)
        except (ReadModelError, ReadModelUnavailableError) as error:
            _LOG.warning("the tables of the generation before stay until the next rebuild: %s", error)

    def _drop_all_retired(self, connection: Connection) -> None:
        gen.lock_schema(connection)
        for each in gen.generations(connection):
            if each.status == gen.RETIRED:
                gen.drop(connection, each.number)
