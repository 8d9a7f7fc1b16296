"""The rows that a database holds, and those that the fold of a log expects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, MetaData, Table, select
from sqlalchemy.engine import Connection

from domain.rules import Rules
from handlers.memory.memory import Memory
from handlers.ports import StoredMessage
from infra.codec import CloudEventsCodec
from infra.sql.schema import generation_tables
from projections.read_models import tables
from projections.read_models.table_projection import TableProjection

Rows = dict[str, dict[Any, tuple[Any, ...]]]
"""By table and key."""


def contents(connection: Connection) -> Rows:
    """Return what readers see: the views' rows."""
    rows: Rows = {}
    for spec, table in generation_tables(1).items():
        view = Table(spec.name, MetaData(), *(Column(column.name, column.type) for column in table.columns))
        rows[spec.name] = {row[0]: tuple(row) for row in connection.execute(select(view))}
    return rows


def position(connection: Connection) -> int:
    """Return how far the views are."""
    view = Table(tables.POSITION.name, MetaData(), Column("position"))
    return int(connection.execute(select(view.c.position)).scalar_one())


def expected(pool: str, rules: Rules, messages: Sequence[StoredMessage]) -> Rows:
    """Return the rows that the fold of a log comes to."""
    memory = Memory(pool, rules, CloudEventsCodec(pool), outcomes=0)
    projection = TableProjection(memory.state)
    bodies = {message.position: message.body for message in messages}
    memory.fold(messages, lambda recorded: projection.apply(recorded, bodies[recorded.position]))
    changes = projection.take_changes()
    rows: Rows = {table.name: {} for table in tables.TABLES}
    for table, values in (*changes.replaced.items(), (tables.EVENTS, changes.events)):
        kinds = [column.kind for column in table.columns]
        for row in values:
            rows[table.name][row[0]] = tuple(
                json.loads(value) if kind is tables.Kind.JSON and value is not None else value
                for kind, value in zip(kinds, row, strict=True)
            )
    return rows
