"""Rebuilding the views from the log: `custody replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.commands.time_travel import show_unreadable, show_views, unreadable
from infra.cli.session.moments import WHEN, WHEN_HELP
from infra.cli.session.opening import opened
from infra.cli.session.rebuilding import rebuilt
from infra.cli.session.session import Session
from projections.queries.all_views import views_at

_ROWS = 20


async def replay(
    session: Session,
    until: Annotated[
        str | None,
        typer.Option(metavar=WHEN, help=f"Stop there: {WHEN_HELP}."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows shown of each view.", show_default=True)] = _ROWS,
) -> None:
    """Rebuild the views from the log, as they were at a moment, and show them."""
    async with opened(session) as log:
        memory = await rebuilt(session, log, await log.last_until(until, "--until"))
    state = memory.state
    views = {**views_at(state, memory.statistics.totals(), state.last_time, limit), **unreadable(memory)}
    if session.out.as_json:
        session.out.json(views)
        return
    heading = f"pool {session.settings.pool} at position {views['position']}"
    show_views(session.out, f"{heading}, {views['time']}" if views["time"] else f"{heading}: the log is empty", views)
    show_unreadable(session.out, memory)
