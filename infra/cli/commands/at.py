"""`custody at`: the pool as it was at a moment."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.commands.views import DEFAULT_ROWS, Limit, show_unreadable, show_views, unreadable
from infra.cli.session.log_opening import open_log
from infra.cli.session.open_log import WHEN, WHEN_HELP
from infra.cli.session.rebuilding import rebuild_memory
from infra.cli.session.session import Session
from infra.cli.terminal.output import Output
from projections.queries.all_views import views_at

When = Annotated[str, typer.Argument(metavar=WHEN, help=f"{WHEN_HELP[0].upper()}{WHEN_HELP[1:]}.")]


async def at(session: Session, when: When, limit: Limit = DEFAULT_ROWS) -> None:
    """Show every view as it was at a moment: tasks, leases, agents, workloads, backlog and counts."""
    async with open_log(session) as log:
        moment = await log.moment(when, "at")
        memory = await rebuild_memory(session, log, moment.position)
    views = {**views_at(memory.state, memory.statistics.totals(), moment.now, limit), **unreadable(memory)}
    if session.out.as_json:
        session.out.json(views)
        return
    show_views(
        Output(as_json=False, now=moment.now),
        f"pool {session.settings.pool} as it was at {views['now']}, position {views['position']}"
        if views["position"]
        else f"pool {session.settings.pool} had no events yet",
        views,
    )
    show_unreadable(session.out, memory)
