"""Top without a terminal: one look at the pool as plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custody_top.lines.cells import plain
from custody_top.lines.columns import row_text, widths
from custody_top.lines.head import banner, head_lines
from custody_top.tables.agents_table import AgentsTable
from custody_top.tables.needs_table import NeedsTable
from custody_top.tables.tasks_table import TasksTable

if TYPE_CHECKING:
    from custody_top.glance import Glance
    from custody_top.tables.table import Table

WIDTH = 160
MAX_ROWS = 50
"""Of each table."""


def snapshot_lines(glance: Glance, width: int = WIDTH, rows: int = MAX_ROWS) -> list[str]:
    """Return everything in lines of at most so many cells, and of each table at most so many rows."""
    reading = glance.reading
    pool = glance.watch.settings.pool
    lines = [
        plain(each).strip()
        for each in head_lines(pool, glance.liveness, glance.strip, glance.completed, glance.now, width)
    ]
    warning = banner(glance.liveness, width)
    if warning is not None:
        lines.append(plain(warning).strip())
    if reading is None:
        return lines
    tables: tuple[Table, ...] = (NeedsTable(), AgentsTable(), TasksTable(glance.watch.clock))
    for table in tables:
        table.refresh(glance.watch, reading)
        sizes = widths(table.columns, width)
        lines += ["", table.heading]
        if not len(table):
            lines.append(table.empty)
            continue
        lines.append(row_text([column.name for column in table.columns], table.columns, sizes).rstrip())
        for place in range(min(len(table), rows)):
            lines.append(row_text(table.row(place, reading).cells, table.columns, sizes).rstrip())
        if len(table) > rows:
            lines.append(f"and {len(table) - rows:,} more")
    return lines
