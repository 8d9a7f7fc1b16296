"""docs/tables.md: the tables that `custody project --sql` keeps."""

from __future__ import annotations

from docs.generator.fields import cell
from projections.read_models.tables import TABLES, VERSION, Kind

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
        lines += [f"## {table.name}", "", table.meaning, "", "| column | kind | meaning |", "|---|---|---|"]
        lines += [f"| `{each.name}` | {each.kind} | {cell(each.meaning)} |" for each in table.columns]
        looked_up = ", ".join(f"({', '.join(index)})" for index in table.indexes)
        lines += ["", f"Indexed by {looked_up}.", ""]
    lines += [
        "## custody_position",
        "",
        "One row: how far the tables are.",
        "",
        "| column | kind | meaning |",
        "|---|---|---|",
        f"| `generation` | {Kind.INTEGER} | counts rebuilds from 1 |",
        f"| `version` | {Kind.INTEGER} | of the tables |",
        f"| `pool` | {Kind.TEXT} | |",
        f"| `position` | {Kind.INTEGER} | of the last message of the log that the tables know |",
        f"| `hash` | {Kind.TEXT} | its `Custody-Hash` |",
        f"| `time` | {Kind.TIME} | of the last event |",
        f"| `skipped` | {Kind.INTEGER} | messages so far that every fold skips |",
        f"| `written_at` | {Kind.TIME} | when the projector wrote last, by its machine's clock |",
        "",
    ]
    return "\n".join(lines)
