"""The SQL tables of a generation, made from `projections.read_models.tables`, and the register of generations.

A generation is one set of tables. Readers use the views, which have the plain table names and show one generation.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Double, Index, MetaData, Table, Text, TypeDecorator
from sqlalchemy import Integer as SmallInteger

from domain.timestamps import format_timestamp, parse_timestamp
from projections.read_models.tables import POSITION, TABLES, Kind

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

    from projections.read_models import tables as spec

PREFIX = "custody_"
"""Begins the name of every table and index, and of the view of the position."""
REGISTER_NAME = f"{PREFIX}generations"
VIEWS = tuple(each.name for each in (*TABLES, POSITION))


class Timestamp(TypeDecorator["datetime"]):
    """A time with its zone. SQLite stores the wire's text, which sorts in the order of time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type for a dialect."""
        return Text() if dialect.name == "sqlite" else DateTime(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return what is stored."""
        return format_timestamp(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 # the library's signature
        """Return what was stored."""
        return parse_timestamp(value) if isinstance(value, str) else value


_TYPES: dict[Kind, TypeEngine[Any]] = {
    Kind.TEXT: Text(),
    # SQLite uses a key as the row id only if its type is named INTEGER, which holds 64 bits.
    Kind.INTEGER: BigInteger().with_variant(SmallInteger(), "sqlite"),
    Kind.NUMBER: Double(),
    Kind.FLAG: Boolean(),
    Kind.TIME: Timestamp(),
    # Not `jsonb`: that does not keep the text as it was, and refuses numbers that the log may hold.
    Kind.JSON: JSON(none_as_null=True),
}

_register = MetaData()
REGISTER = Table(
    REGISTER_NAME,
    _register,
    Column("generation", SmallInteger, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("log_id", Text),
    Column("position", BigInteger, nullable=False),
    Column("hash", Text),
    Column("time", Timestamp),
    Column("skipped", BigInteger, nullable=False),
    Column("written_at", Timestamp, nullable=False),
)
"""One row for each generation; `status` is `building`, `live` or `retired`."""


@cache
def generation_tables(generation: int) -> dict[spec.Table, Table]:
    """Return the SQL tables of a generation, by their specification."""
    metadata = MetaData()
    tables = {}
    for each in TABLES:
        name = f"{PREFIX}g{generation}_{each.name}"
        columns = [
            Column(
                column.name,
                _TYPES[column.kind],
                primary_key=column.name == each.key,
                autoincrement=False,
            )
            for column in each.columns
        ]
        table = tables[each] = Table(name, metadata, *columns)
        for index in each.indexes:
            Index(f"{name}_{'_'.join(index)}", *(table.c[column] for column in index))
    return tables
