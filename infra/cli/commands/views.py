"""Every view of a pool, and what could not be read for them, as a command prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.terminal.reply_text import show_query
from projections.queries.all_views import VIEWS

if TYPE_CHECKING:
    from handlers.memory.memory import Memory
    from infra.cli.terminal.output import Output

DEFAULT_ROWS = 20
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Rows shown of each view.", show_default=True)]


def unreadable(memory: Memory) -> dict[str, Any]:
    """Return the events that could not be read, for a document."""
    return {
        "unreadable_events": memory.unreadable_count,
        "unreadable": [each._asdict() for each in memory.unreadable],
    }


def show_views(out: Output, heading: str, views: dict[str, Any]) -> None:
    """Print every view."""
    out.heading(heading)
    for view in VIEWS:
        out.line()
        out.heading(view.upper())
        show_query(out, view, {"result": {**views[view], "next": None}})
        if views[view].get("next") is not None:
            out.line("more with a larger --limit", "dim")


def show_unreadable(out: Output, memory: Memory) -> None:
    """Print the events that could not be read, if there are any."""
    if not memory.unreadable_count:
        return
    out.line()
    out.line(f"{memory.unreadable_count} events could not be read or applied, and every fold skips them", "red")
    out.table(["position", "reason"], [list(each) for each in memory.unreadable])
