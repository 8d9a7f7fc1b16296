"""Tables get their indexes when they have caught up, whichever process is killed meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.engine import Connection

from handlers.projector.read_model import RebuiltError
from infra.sql import generations as gen
from infra.sql.schema import generation_tables
from projections.read_models import tables
from tests.infra.sql.conftest import Site

ALL = {f"{table.name}_{'_'.join(index)}" for table in tables.TABLES for index in table.indexes}


async def lacking(site: Site, generation: int = 1) -> set[str]:
    """Return the indexes that a generation has not got."""

    def missing(connection: Connection) -> set[str]:
        return {str(each.name).partition(f"g{generation}_")[2] for each in gen.missing_indexes(connection, generation)}

    found: set[str] = await site.read(missing)
    return found


async def drop(site: Site, table: tables.Table) -> None:
    """Take a table's indexes away, as if its projector had been killed before it made them."""

    def take(connection: Connection) -> None:
        for each in generation_tables(1)[table].indexes:
            each.drop(connection)

    await site.read(take)


async def test_there_are_none_while_a_new_generation_catches_up(site: Site) -> None:
    model = site.model()
    await model.watermark()
    assert await lacking(site) == ALL
    await site.catch_up(model)
    assert await lacking(site) == set()
    await site.catch_up(site.model(rebuild=True))
    assert await lacking(site, 2) == set()


async def test_who_comes_after_one_that_was_killed_makes_the_rest(site: Site) -> None:
    await site.catch_up()
    await drop(site, tables.LEASES)
    assert len(await lacking(site)) == len(tables.LEASES.indexes)
    await site.catch_up()
    assert await lacking(site) == set()


async def test_two_that_catch_up_at_once_make_each_index_once(site: Site) -> None:
    await site.catch_up()
    await drop(site, tables.EVENTS)
    one, other = site.model(), site.model()
    await one.watermark()
    await other.watermark()
    await asyncio.gather(one.finish_catch_up(), other.finish_catch_up())
    assert await lacking(site) == set()


async def test_a_generation_that_is_gone_gets_none(site: Site) -> None:
    await site.catch_up()
    model = site.model()
    await model.watermark()
    await site.catch_up(site.model(rebuild=True))
    with pytest.raises(RebuiltError):
        await model.finish_catch_up()
