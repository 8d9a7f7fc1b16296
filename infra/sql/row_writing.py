"""Writing many rows at once.

The statements are handed to the driver as they are: half of the time would go into looking at each value's type anew.
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

_ROWS = 500
"""In one statement of SQLite's: while it is carried out, others run Python; between two it has to wait for its turn."""
_COPY = "COPY "


def put(connection: Connection, generation: int, table: Table, rows: Sequence[Values], *, replace: bool) -> None:
    """Insert rows; with `replace` they take the place of those with their keys, which differ from each other."""
    if connection.dialect.name == "sqlite":
        _insert(connection, generation, table, rows, replace=replace)
        return
    name = generation_tables(generation)[table].name
    if replace:
        keys = [row[0] for row in rows]
        connection.exec_driver_sql(f'DELETE FROM "{name}" WHERE "{table.key}" = ANY (%s)', (keys,))  # noqa: S608 # names are our own
    connection.exec_driver_sql(f'{_COPY}"{name}" ({", ".join(_names(table))}) FROM STDIN', list(rows))


def copied(cursor: Cursor[Any], statement: str, rows: Sequence[Values]) -> bool:
    """Carry a statement of `put` out that streams its rows to PostgreSQL; return False if it is none."""
    if not statement.startswith(_COPY):
        return False
    with cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)
    return True


def _insert(connection: Connection, generation: int, table: Table, rows: Sequence[Values], *, replace: bool) -> None:
    at_once = min(_ROWS, _most_parameters(connection) // len(table.columns))
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        statement = _statement(generation, table, len(part), replace=replace)
        connection.exec_driver_sql(statement, tuple(_as_text(table, part)))


def _most_parameters(connection: Connection) -> int:
    driver: Any = connection.connection.driver_connection
    most: int = driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    return most


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


def _as_text(table: Table, rows: Sequence[Values]) -> list[Any]:
    """Return the rows' values, one row after the other, with their times as SQLite keeps them."""
    columns, values = len(table.columns), list(chain.from_iterable(rows))
    for index, column in enumerate(table.columns):
        if column.kind is Kind.TIME:
            values[index::columns] = [None if at is None else format_timestamp(at) for at in values[index::columns]]
    return values
