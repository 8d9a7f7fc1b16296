"""`custody diff`: what changed between two moments."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handlers.memory.catch_up import catch_up
from infra.cli.commands.views import DEFAULT_ROWS, Limit
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_log
from infra.cli.session.open_log import WHEN, WHEN_HELP
from infra.cli.session.rebuilding import rebuild_memory
from infra.cli.session.session import Session
from infra.cli.terminal.progress import errors_only, progress_bar
from projections.reports.diff import Change, Diff, DiffBuilder

if TYPE_CHECKING:
    from infra.cli.terminal.output import Output

_NO_CHANGE = "nothing changed"


async def diff(
    session: Session,
    earlier: Annotated[str, typer.Argument(metavar=WHEN, help=f"The earlier moment: {WHEN_HELP}.")],
    later: Annotated[str, typer.Argument(metavar=WHEN, help="The later one.")],
    limit: Limit = DEFAULT_ROWS,
) -> None:
    """What changed between two moments: tasks new, ended and changed, agents, and counts."""
    async with open_log(session) as log:
        first = await log.moment(earlier, "diff")
        second = await log.moment(later, "diff")
        if (second.position, second.now) < (first.position, first.now):
            raise CommandError(f"{earlier} is after {later}: name the earlier moment first")
        memory = await rebuild_memory(session, log, first.position)
        builder = DiffBuilder(memory.state, memory.statistics.totals(), first.now)
        with (
            errors_only(logging.getLogger("handlers.memory.memory")),
            progress_bar(second.position, session.out) as show,
        ):
            await catch_up(
                memory,
                log.log,
                until=second.position,
                progress=lambda read, _: show(read),
                seen=builder.observe,
            )
    found = builder.result(memory.statistics.totals(), second.now)
    if session.out.as_json:
        session.out.json(found.as_json())
    else:
        _show(session.out, found, limit)


def _show(out: Output, found: Diff, limit: int) -> None:
    document = found.as_json()
    began, ended = document["from"], document["to"]
    out.heading(f"from position {began['position']}, {began['now']}, to position {ended['position']}, {ended['now']}")
    events = ", ".join(f"{name} {count}" for name, count in found.by_event.items())
    out.line(f"{document['events']} events{': ' if events else ''}{events}")
    counts = [[name, before, after] for name, (before, after) in found.counts.items() if before != after]
    out.line()
    out.heading("COUNTS")
    if counts:
        out.table(["count", "before", "after"], counts)
    else:
        out.line(_NO_CHANGE)
    _show_changes(out, "task_id", "TASKS", found.tasks, limit)
    _show_changes(out, "agent_id", "AGENTS", found.agents, limit)


def _show_changes(out: Output, name: str, title: str, changes: list[Change], limit: int) -> None:
    out.line()
    out.heading(title)
    if not changes:
        out.line(_NO_CHANGE)
        return
    fields = list(changes[0].after or changes[0].before or {})
    rows = [[each.id, each.change, *(_cell(out, each, field) for field in fields)] for each in changes[:limit]]
    out.table([name, "change", *fields], rows)
    if len(changes) > limit:
        out.line(f"and {len(changes) - limit} more, with a larger --limit or --json", "dim")


def _cell(out: Output, change: Change, field: str) -> str:
    """Return a field's value, or both where it changed."""
    before = None if change.before is None else change.before[field]
    after = None if change.after is None else change.after[field]
    if change.before is None or before == after:
        return _shown(out, field, after)
    if change.after is None:
        return _shown(out, field, before)
    return f"{_shown(out, field, before) or '-'} → {_shown(out, field, after) or '-'}"


def _shown(out: Output, field: str, value: Any) -> str:
    return "" if value is None else out.cell(field, list(value) if isinstance(value, tuple) else value)
