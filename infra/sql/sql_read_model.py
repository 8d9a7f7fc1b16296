"""The read model in a database: rows and their watermark change in one transaction."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from handlers.projector.read_model import (
    ReadModelError,
    ReadModelUnavailableError,
    RebuiltError,
    Watermark,
    WatermarkMovedError,
)
from infra.sql import generations as gen
from infra.sql.row_writing import write_rows
from infra.sql.schema import REGISTER
from projections.read_models.tables import EVENTS, VERSION

if TYPE_CHECKING:
    from handlers.ports import Clock
    from infra.sql.database import Database
    from projections.read_models.table_projection import TableChanges

_INDEX_TIMEOUT_S = 3_600
"""An index over many millions of rows takes minutes."""
_LOG = logging.getLogger(__name__)


class SqlReadModel:
    """The `ReadModel` of one pool in a database. With `rebuild` it writes a new generation until that has caught up."""

    def __init__(self, database: Database, pool: str, clock: Clock, *, rebuild: bool = False) -> None:
        self._database = database
        self._pool = pool
        self._clock = clock
        self._rebuild = rebuild
        self._generation = 0
        """The generation that is written; 0 before the first `watermark`."""
        self._indexed = 0
        """The generation that is known to have all its indexes."""
        self.name = database.name

    async def watermark(self) -> Watermark:
        """Return the watermark of the generation to write: the live one, or with `rebuild` the one being built.

        Makes the tables if there are none.
        """
        found = await self._database.run(self._open_generation)
        self._generation = found.number
        self._rebuild = self._rebuild and found.status == gen.BUILDING
        return found.watermark

    def _open_generation(self, connection: Connection) -> gen.Generation:
        gen.check_encoding(connection)
        gen.lock_schema(connection)
        found = gen.list_generations(connection)
        for each in found:
            gen.check_pool(each, self._pool)
        live = gen.newest_with_status(found, gen.LIVE)
        if live is None:
            return self._open_without_live(connection, found)
        if self._rebuild and not 0 < self._generation <= live.number:
            return self._open_building(connection, found)
        gen.check_version(live)
        gen.check_complete(connection, live)
        gen.restore_views(connection, live.number)
        return live

    def _open_without_live(self, connection: Connection, found: list[gen.Generation]) -> gen.Generation:
        """Return the first generation, or one that is built where the register of earlier ones was lost."""
        orphans = gen.orphans(connection, found)
        if not orphans and not found:
            return gen.create(connection, self._pool, gen.LIVE, self._clock.now())
        if not self._rebuild:
            gen.check_any_live(found)
        return self._open_building(connection, found)

    def _open_building(self, connection: Connection, found: list[gen.Generation]) -> gen.Generation:
        """Return the generation that an interrupted rebuild left, if it has this version; else a new one."""
        building = gen.newest_with_status(found, gen.BUILDING)
        usable = building is not None and building.version == VERSION and building.damage is None
        if building is not None and usable and not gen.missing_tables(connection, building.number):
            return building
        if building is not None:
            gen.drop(connection, building.number)
        return gen.create(connection, self._pool, gen.BUILDING, self._clock.now())

    async def discard_building(self) -> None:
        """Drop what an earlier rebuild left, so that the next `watermark` is at the log's beginning."""
        await self._database.run(self._drop_building)
        self._generation = 0

    def _drop_building(self, connection: Connection) -> None:
        gen.lock_schema(connection)
        gen.drop_with_status(connection, gen.BUILDING)

    async def write(self, changes: TableChanges, before: Watermark, after: Watermark) -> None:
        """Write rows and the watermark in one transaction, if the stored watermark is `before`."""
        await self._database.run(lambda connection: self._write(connection, changes, before, after))

    def _write(self, connection: Connection, changes: TableChanges, before: Watermark, after: Watermark) -> None:
        row = connection.execute(
            select(REGISTER.c.position, REGISTER.c.hash, REGISTER.c.status)
            .where(REGISTER.c.generation == self._generation)
            .with_for_update()
        ).one_or_none()
        if row is None or row.status == gen.RETIRED:
            raise RebuiltError
        if (row.position, row.hash) != (before.position, before.hash):
            raise WatermarkMovedError
        for table, rows in changes.replaced.items():
            write_rows(connection, self._generation, table, rows, replace=True)
        if changes.events:
            write_rows(connection, self._generation, EVENTS, changes.events, replace=False)
        connection.execute(
            REGISTER.update()
            .where(REGISTER.c.generation == self._generation)
            .values(**after._asdict(), written_at=self._clock.now())
        )

    async def ensure_kept(self) -> None:
        """Check that the tables are there, unless another generation has taken their place.

        Raises OutdatedError, ReadModelUnavailableError, ReadModelError.
        """
        await self._database.run(self._check_kept)

    def _check_kept(self, connection: Connection) -> None:
        found = gen.list_generations(connection)
        mine = next((each for each in found if each.number == self._generation), None)
        if mine is not None and mine.status != gen.RETIRED:
            gen.check_complete(connection, mine)
        else:
            gen.check_any_live(found)

    async def finish_catch_up(self, *, outdated: Watermark | None = None) -> Watermark | None:
        """Make the indexes; switch readers over to a rebuilt generation, unless it is behind the live one.

        Return the live generation's watermark then; one that is `outdated` is replaced.
        """
        await self._make_indexes()
        if not self._rebuild:
            return None
        ahead = await self._database.run(lambda connection: self._switch(connection, outdated))
        if ahead is None:
            self._rebuild = False
            await self._drop_retired()
        return ahead

    async def _make_indexes(self) -> None:
        """Make the indexes that are missing, each in its own transaction.

        They are made last because rows are written many times faster without them.
        """
        if self._indexed == self._generation:
            return
        number = self._generation
        for index in await self._database.run(lambda connection: gen.missing_indexes(connection, number)):
            await self._database.run(partial(gen.make_index, index=index), timeout_s=_INDEX_TIMEOUT_S)
        self._indexed = number

    def _switch(self, connection: Connection, outdated: Watermark | None) -> Watermark | None:
        gen.lock_schema(connection)
        # The row locks keep the live generation's watermark where it is until the commit.
        connection.execute(select(REGISTER.c.generation).with_for_update())
        found = {each.number: each for each in gen.list_generations(connection)}
        mine = found.get(self._generation)
        if mine is None or mine.status == gen.RETIRED:
            raise WatermarkMovedError
        live = gen.newest_with_status(list(found.values()), gen.LIVE)
        if mine.status == gen.LIVE:
            return None
        if live is None:
            gen.set_status(connection, mine.number, gen.LIVE)
            gen.point_views_at(connection, mine.number)
            return None
        if live.watermark.position > mine.watermark.position and live.watermark != outdated:
            return live.watermark
        gen.set_status(connection, live.number, gen.RETIRED)
        gen.set_status(connection, mine.number, gen.LIVE)
        gen.point_views_at(connection, mine.number)
        return None

    async def _drop_retired(self) -> None:
        """Drop the generation that was replaced. If other objects still use its tables, the next rebuild drops it."""
        try:
            await self._database.run(self._drop_all_retired)
        except (ReadModelError, ReadModelUnavailableError) as error:
            _LOG.warning("the tables of the previous generation stay until the next rebuild: %s", error)

    def _drop_all_retired(self, connection: Connection) -> None:
        gen.lock_schema(connection)
        gen.drop_with_status(connection, gen.RETIRED)
        gen.drop_orphans(connection)
