"""`custody at`: the pool as it was at a moment."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.commands.views import DEFAULT_ROWS, Limit, show_unreadable, show_views, unreadable
from infra.cli.session.log_opening import open_log
from infra.cli.session.open_log import WHEN, WHEN_HELP
from infra.cli.session.rebuilding import rebuild_memory
from infra.cli.session.session import Session
from infra.cli.terminal.output import Output
from projections.queries.all_views import views_at

if TYPE_CHECKING:
    from infra.cli.session.open_log import Moment, OpenLog
    from projections.reports.custody_at import CustodyAt

When = Annotated[str, typer.Argument(metavar=WHEN, help=f"{WHEN_HELP[0].upper()}{WHEN_HELP[1:]}.")]


async def at(
    session: Session,
    when: When,
    task: Annotated[str | None, typer.Option(help="Say in one line who had this task.", show_default=False)] = None,
    limit: Limit = DEFAULT_ROWS,
) -> None:
    """Show every view as it was at a moment: tasks, leases, agents, workloads, backlog and counts."""
    if task is not None:
        await _show_who_had(session, when, task)
        return
    async with open_log(session) as log:
        moment = await log.moment(when, "at")
        memory = await rebuild_memory(session, log, moment.position)
    totals, heard_at = memory.statistics.totals(), memory.last_heard.heard_at
    views = {**views_at(memory.state, totals, moment.now, limit, heard_at), **unreadable(memory)}
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


async def _show_who_had(session: Session, when: str, task: str) -> None:
    from infra.cli.commands.arguments import check_known, check_task_id

    check_task_id(task)
    async with open_log(session) as log:
        moment = await log.moment(when, "at")
        await check_known(session, log, task, None)
        found = await _custody_at(session, log, task, moment)
    if session.out.as_json:
        session.out.json(found.as_json())
    else:
        session.out.line(found.line())


async def _custody_at(session: Session, log: OpenLog, task_id: str, moment: Moment) -> CustodyAt:
    """Return what a task was; only its own events are read."""
    from domain.subjects import subject_token
    from handlers.memory.lookup import fold_task
    from handlers.ports import UnreadableEventError, evt_prefix
    from projections.reports.custody_at import CustodyAt

    records = []
    if moment.position >= log.first:
        subjects = f"{evt_prefix(session.settings.pool)}task.{subject_token(task_id)}.>"
        async for chunk in log.matching(subjects, after=log.first - 1, until=moment.position):
            for message in chunk:
                with contextlib.suppress(UnreadableEventError):
                    records.append(log.codec.decode(message))
    return CustodyAt(task_id, moment.position, moment.now, fold_task(records))
