"""Writing many rows at once.

The statements go to the driver as plain SQL: with SQLAlchemy's own, half of the time goes into the type of each value.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from domain.timestamps import format_timestamp
from infra.sql.schema import generation_tables
from projections.read_models.tables import Kind, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from psycopg import Cursor
    from sqlalchemy import Connection

    from projections.read_models.table_rows import Values

_ROWS_PER_INSERT = 500
"""In SQLite. A statement runs without Python's global lock, for which the thread has to wait before the next one."""
_COPY = "COPY "


def write_rows(connection: Connection, generation: int, table: Table, rows: Sequence[Values], *, replace: bool) -> None:
    """Insert rows. With `replace` they replace the rows with their keys, of which each occurs once."""
    if connection.dialect.name == "sqlite":
        _insert(connection, generation, table, rows, replace=replace)
        return
    name = generation_tables(generation)[table].name
    if replace:
        keys = [row[0] for row in rows]
        connection.exec_driver_sql(f'DELETE FROM "{name}" WHERE "{table.key}" = ANY (%s)', (keys,))  # noqa: S608 # names are our own
    connection.exec_driver_sql(f'{_COPY}"{name}" ({", ".join(_names(table))}) FROM STDIN', list(rows))


def run_copy(cursor: Cursor[Any], statement: str, rows: Sequence[Values]) -> bool:
    """Stream the rows of a COPY that `write_rows` made to PostgreSQL; return False for any other statement."""
    if not statement.startswith(_COPY):
        return False
    with cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)
    return True


def _insert(connection: Connection, generation: int, table: Table, rows: Sequence[Values], *, replace: bool) -> None:
    size = min(_ROWS_PER_INSERT, _max_parameters(connection) // len(table.columns))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        statement = _statement(generation, table, len(part), replace=replace)
        connection.exec_driver_sql(statement, tuple(_parameters(table, part)))


def _max_parameters(connection: Connection) -> int:
    driver: Any = connection.connection.driver_connection
    limit: int = driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    return limit


@cache
def _statement(generation: int, table: Table, rows: int, *, replace: bool) -> str:
    names = _names(table)
    row = f"({', '.join('?' * len(names))})"
    name = generation_tables(generation)[table].name
    statement = f'INSERT INTO "{name}" ({", ".join(names)}) VALUES {", ".join([row] * rows)}'  # noqa: S608 # names are our own
    if not replace:
        return statement
    others = ", ".join(f"{each} = excluded.{each}" for each in names[1:])
    return f"{statement} ON CONFLICT ({names[0]}) DO UPDATE SET {others}"


def _names(table: Table) -> list[str]:
    return [f'"{column.name}"' for column in table.columns]


def _parameters(table: Table, rows: Sequence[Values]) -> list[Any]:
    """Return the rows' values, one row after the other, with times as the text that SQLite stores."""
    columns, values = len(table.columns), list(chain.from_iterable(rows))
    for index, column in enumerate(table.columns):
        if column.kind is Kind.TIME:
            values[index::columns] = [None if at is None else format_timestamp(at) for at in values[index::columns]]
    return values
