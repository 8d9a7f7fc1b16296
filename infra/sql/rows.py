"""Writing many rows at once.

The statements are handed to the driver as they are: half of the time would go into looking at each value's type anew.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from domain.timestamps import format_timestamp
from infra.sql.schema import generation_tables
from projections.tables import Kind, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from projections.rows import Values


def put(connection: Connection, generation: int, table: Table, rows: Sequence[Values], *, replace: bool) -> None:
    """Insert rows; with `replace` they take the place of those with their keys."""
    sqlite = connection.dialect.name == "sqlite"
    statement = _statement(generation, table, "?" if sqlite else "%s", replace=replace)
    connection.exec_driver_sql(statement, _as_text(table, rows) if sqlite else list(rows))


@cache
def _statement(generation: int, table: Table, placeholder: str, *, replace: bool) -> str:
    names = [f'"{column.name}"' for column in table.columns]
    values = ", ".join([placeholder] * len(names))
    name = generation_tables(generation)[table].name
    statement = f'INSERT INTO "{name}" ({", ".join(names)}) VALUES ({values})'  # noqa: S608 # names are our own
    if not replace:
        return statement
    others = ", ".join(f"{each} = excluded.{each}" for each in names[1:])
    return f"{statement} ON CONFLICT ({names[0]}) DO UPDATE SET {others}"


def _as_text(table: Table, rows: Sequence[Values]) -> list[Values]:
    """Return rows with their times as SQLite keeps them."""
    times = [index for index, column in enumerate(table.columns) if column.kind is Kind.TIME]
    made = []
    for row in rows:
        values = list(row)
        for index in times:
            if values[index] is not None:
                values[index] = format_timestamp(values[index])
        made.append(tuple(values))
    return made
