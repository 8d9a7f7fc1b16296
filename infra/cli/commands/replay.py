"""`custody replay`: the views, rebuilt from the log."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.commands.views import DEFAULT_ROWS, Limit, show_unreadable, show_views, unreadable
from infra.cli.session.log_opening import open_log
from infra.cli.session.open_log import WHEN, WHEN_HELP
from infra.cli.session.rebuilding import rebuild_memory
from infra.cli.session.session import Session
from projections.queries.all_views import views_at


async def replay(
    session: Session,
    until: Annotated[
        str | None,
        typer.Option(metavar=WHEN, help=f"Stop there: {WHEN_HELP}."),
    ] = None,
    limit: Limit = DEFAULT_ROWS,
) -> None:
    """Rebuild the views from the log, as they were at a moment, and show them."""
    async with open_log(session) as log:
        memory = await rebuild_memory(session, log, await log.last_until(until, "--until"))
    state = memory.state
    totals, heard_at = memory.statistics.totals(), memory.last_heard.heard_at
    views = {**views_at(state, totals, state.last_time, limit, heard_at), **unreadable(memory)}
    if session.out.as_json:
        session.out.json(views)
        return
    heading = f"pool {session.settings.pool} at position {views['position']}"
    show_views(session.out, f"{heading}, {views['time']}" if views["time"] else f"{heading}: the log is empty", views)
    show_unreadable(session.out, memory)
