"""Generations of the tables: creating one, pointing the views at it, and dropping old ones."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Index, inspect, text
from sqlalchemy.schema import CreateTable, DropTable

from domain.timestamps import parse_timestamp
from handlers.projector.read_model import OutdatedError, ReadModelError, RebuiltError, Watermark
from infra.sql.schema import PREFIX, REGISTER, REGISTER_NAME, VIEWS, generation_tables
from projections.read_models import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLE = re.compile(rf"{PREFIX}g([0-9]{{1,9}})_[a-z]+")
BUILDING, LIVE, RETIRED = "building", "live", "retired"
_LOCK = 0x637573746F6479
"""Key of PostgreSQL's advisory lock for changes of the schema. SQLite locks the whole file in every transaction."""


class Generation(NamedTuple):
    """A row of the register."""

    number: int
    status: str
    pool: str
    version: int
    watermark: Watermark
    damage: str | None = None
    """What is wrong with its row, if its watermark cannot be read."""


def check_encoding(connection: Connection) -> None:
    """Raise ReadModelError unless the database can store any text."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise ReadModelError(f"the database is encoded in {encoding}: make one with ENCODING 'UTF8'")


def lock_schema(connection: Connection) -> None:
    """Lock the schema against other projectors until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def list_generations(connection: Connection) -> list[Generation]:
    """Return all generations, the oldest first; none if there is no register yet."""
    if not inspect(connection).has_table(REGISTER_NAME):
        return []
    # As plain SQL: a value that is not of its column's type, as SQLite lets it be, must not end the reading.
    columns = ", ".join(f'"{name}"' for name in ("generation", "status", "pool", "version", *Watermark._fields))
    rows = connection.exec_driver_sql(f"SELECT {columns} FROM {REGISTER_NAME} ORDER BY generation")  # noqa: S608 # names are our own
    return [_generation(*row) for row in rows]


def _generation(number: int, status: str, pool: str, version: int, *mark: Any) -> Generation:
    try:
        return Generation(number, status, pool, version, read_watermark(mark))
    except ValueError as error:
        return Generation(number, status, pool, version, Watermark(), str(error))


def read_watermark(values: Sequence[Any]) -> Watermark:
    """Return the watermark in the register's columns, whatever is in them; raises ValueError."""
    position, tail_hash, log_id, time, skipped = values
    try:
        time = parse_timestamp(time) if isinstance(time, str) else time
    except OverflowError as error:
        raise ValueError(str(error)) from None
    if any(type(each) is not int or each < 0 for each in (position, skipped)):
        msg = f"position {position!r:.50}, skipped {skipped!r:.50}"
        raise ValueError(msg)
    if not all(each is None or isinstance(each, str) for each in (tail_hash, log_id)):
        msg = f"hash {tail_hash!r:.50}, log_id {log_id!r:.50}"
        raise ValueError(msg)
    if time is not None and not isinstance(time, datetime):
        msg = f"time {time!r:.50}"
        raise ValueError(msg)
    return Watermark(position, tail_hash, log_id, time, skipped)


def check_complete(connection: Connection, found: Generation) -> None:
    """Raise OutdatedError if a generation lacks one of its tables."""
    missing = missing_tables(connection, found.number)
    if missing:
        raise OutdatedError(f"its table {missing[0]} is gone")


def missing_tables(connection: Connection, number: int) -> list[str]:
    """Return the names of a generation's tables that are not there."""
    there = set(inspect(connection).get_table_names())
    return sorted(each.name for each in generation_tables(number).values() if each.name not in there)


def restore_views(connection: Connection, number: int) -> None:
    """Make the views that readers use, if one of them is gone."""
    if not set(VIEWS) <= set(inspect(connection).get_view_names()):
        point_views_at(connection, number)


def orphans(connection: Connection, found: Sequence[Generation]) -> list[str]:
    """Return the names of tables that belong to no generation of the register, and of views without a register."""
    known = {table.name for each in found for table in generation_tables(each.number).values()}
    names = inspect(connection).get_table_names()
    unknown = sorted(name for name in names if _TABLE.fullmatch(name) and name not in known)
    return unknown or ([] if found else _own_views(connection))


def _own_views(connection: Connection) -> list[str]:
    inspector = inspect(connection)
    views = sorted(set(inspector.get_view_names()) & set(VIEWS))
    return [name for name in views if PREFIX in (inspector.get_view_definition(name) or "")]


def drop_orphans(connection: Connection) -> None:
    """Drop the tables that belong to no generation of the register."""
    for name in orphans(connection, list_generations(connection)):
        if _TABLE.fullmatch(name):
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}"')


def newest_with_status(found: list[Generation], status: str) -> Generation | None:
    """Return the newest generation with a status."""
    return next((each for each in reversed(found) if each.status == status), None)


def create(connection: Connection, pool: str, status: str, now: datetime) -> Generation:
    """Create a generation's tables, without their indexes; with the first one, the register too.

    Raises:
        ReadModelError: the database has something else with the name of a view.
    """
    found = list_generations(connection)
    if not found:
        _check_view_names(connection)
        connection.execute(CreateTable(REGISTER, if_not_exists=True))
    used = [int(match[1]) for name in orphans(connection, found) if (match := _TABLE.fullmatch(name))]
    number = max([0, *used, *(each.number for each in found)]) + 1
    for table in generation_tables(number).values():
        connection.execute(CreateTable(table))
    made = Generation(number, status, pool, tables.VERSION, Watermark())
    values = {"generation": number, "status": status, "pool": pool, "version": tables.VERSION}
    connection.execute(REGISTER.insert().values(**values, position=0, skipped=0, written_at=now))
    if status == LIVE:
        point_views_at(connection, number)
    return made


def check_any_live(found: list[Generation]) -> None:
    """Raise OutdatedError if no generation is live: the register, or its rows, were removed by hand."""
    if newest_with_status(found, LIVE) is None:
        raise OutdatedError(f"its register {REGISTER_NAME} is gone, or has no live tables")


def missing_indexes(connection: Connection, number: int) -> list[Index]:
    """Return the indexes that a generation's tables do not have yet.

    Raises:
        RebuiltError: the generation was dropped, or is retired.
        OutdatedError: so are all others.
    """
    found = list_generations(connection)
    if all(each.number != number or each.status == RETIRED for each in found):
        check_any_live(found)
        raise RebuiltError
    found = inspect(connection)
    missing = []
    for table in generation_tables(number).values():
        existing = {each["name"] for each in found.get_indexes(table.name)}
        missing += sorted(
            (each for each in table.indexes if each.name not in existing), key=lambda each: str(each.name)
        )
    return missing


def make_index(connection: Connection, index: Index) -> None:
    """Make an index, unless another projector has made it meanwhile."""
    lock_schema(connection)
    index.create(connection, checkfirst=True)


def _check_view_names(connection: Connection) -> None:
    found = inspect(connection)
    taken = sorted(({*found.get_table_names(), *found.get_view_names()} & set(VIEWS)) - set(_own_views(connection)))
    if taken:
        raise ReadModelError(
            f"the database has something else named {', '.join(taken)}: give a database or a schema of its own"
        )


def point_views_at(connection: Connection, number: int) -> None:
    """Make the views show a generation, for every reader from the commit on."""
    for table, kept in generation_tables(number).items():
        _create_view(connection, table, f'"{kept.name}"')
    _create_view(connection, tables.POSITION, f"{REGISTER_NAME} WHERE status = '{LIVE}'")


def _create_view(connection: Connection, view: tables.Table, source: str) -> None:
    columns = ", ".join(f'"{column.name}"' for column in view.columns)
    name, query = view.name, f"SELECT {columns} FROM {source}"  # noqa: S608 # names are our own
    if connection.dialect.name == "postgresql":
        # Replacing it keeps the grants on it and the views that depend on it.
        connection.exec_driver_sql(f'CREATE OR REPLACE VIEW "{name}" AS {query}')
        return
    connection.exec_driver_sql(f'DROP VIEW IF EXISTS "{name}"')
    connection.exec_driver_sql(f'CREATE VIEW "{name}" AS {query}')


def set_status(connection: Connection, number: int, status: str) -> None:
    """Change a generation's status."""
    connection.execute(REGISTER.update().where(REGISTER.c.generation == number).values(status=status))


def drop(connection: Connection, number: int) -> None:
    """Drop a generation's tables and its row in the register."""
    for table in generation_tables(number).values():
        connection.execute(DropTable(table, if_exists=True))
    connection.execute(REGISTER.delete().where(REGISTER.c.generation == number))


def drop_with_status(connection: Connection, status: str) -> None:
    """Drop every generation with a status."""
    for each in list_generations(connection):
        if each.status == status:
            drop(connection, each.number)


def check_pool(found: Generation, pool: str) -> None:
    """Raise ReadModelError if a generation belongs to another pool."""
    if found.damage is None and found.pool != pool:
        raise ReadModelError(
            f"pool {found.pool} is kept there, not {pool}: give each pool a database or a schema of its own"
        )


def check_version(found: Generation) -> None:
    """Raise OutdatedError if a generation has tables of another version, or its row in the register is damaged."""
    if found.damage is not None:
        raise OutdatedError(f"its row in {REGISTER_NAME} is damaged: {found.damage}")
    if found.version != tables.VERSION:
        raise OutdatedError(f"its tables are of version {found.version}, and this is version {tables.VERSION}")
