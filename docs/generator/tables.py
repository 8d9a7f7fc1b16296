"""docs/tables.md: the tables that `custody project --sql` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.generator.fields import cell
from projections.read_models.tables import POSITION, TABLES, VERSION

if TYPE_CHECKING:
    from projections.read_models.tables import Table

_HEAD = """\
# Tables

<!-- Made by `python -m docs.generate` from projections/read_models/tables.py; edit that. -->

What `custody project --sql URL` keeps; [read-models.md](read-models.md) says how. Version {version}. The names below
are views; columns are only ever added at the end. The first column tells rows apart.

| kind | PostgreSQL | SQLite |
|---|---|---|
| text | `text` | `TEXT` |
| integer | `bigint` | `INTEGER` |
| number | `double precision` | `DOUBLE` |
| flag | `boolean` | 0 or 1 |
| time | `timestamptz` | text as the log has it, such as `2026-11-21T08:00:00.123456Z`: it sorts as the moments do |
| json | `json` | text |
"""


def tables_page() -> str:
    """Return the page."""
    lines = [_HEAD.format(version=VERSION)]
    for table in TABLES:
        lines += _columns(table)
        looked_up = ", ".join(f"({', '.join(index)})" for index in table.indexes)
        lines += ["", f"Indexed by {looked_up}.", ""]
    return "\n".join([*lines, *_columns(POSITION), ""])


def _columns(table: Table) -> list[str]:
    return [
        *(f"## {table.name}", "", table.meaning, "", "| column | kind | meaning |", "|---|---|---|"),
        *(f"| `{each.name}` | {each.kind} | {cell(each.meaning)} |" for each in table.columns),
    ]
