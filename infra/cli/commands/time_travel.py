"""The pool at other times: `custody at`, `custody diff`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handlers.memory.catch_up import catch_up
from infra.cli.session.moments import WHEN, WHEN_HELP
from infra.cli.session.opening import opened
from infra.cli.session.rebuilding import rebuilt
from infra.cli.session.session import CommandError, Session
from infra.cli.terminal.output import Output
from infra.cli.terminal.progress import bar, quiet
from infra.cli.terminal.reply_text import show_query
from projections.queries.all_views import VIEWS, views_at
from projections.reports.diff import Change, Diff, DiffBuilder

if TYPE_CHECKING:
    from handlers.memory.memory import Memory

_ROWS = 20
_NO_CHANGE = "nothing changed"
When = Annotated[str, typer.Argument(metavar=WHEN, help=f"{WHEN_HELP[0].upper()}{WHEN_HELP[1:]}.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Rows shown of each view.", show_default=True)]


async def at(session: Session, when: When, limit: Limit = _ROWS) -> None:
    """Show every view as it was at a moment: tasks, leases, agents, workloads, backlog and counts."""
    async with opened(session) as log:
        moment = await log.moment(when, "at")
        memory = await rebuilt(session, log, moment.position)
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


def unreadable(memory: Memory) -> dict[str, Any]:
    """Return what could not be read on the way."""
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
    """Print what could not be read on the way, if anything."""
    if not memory.unreadable_count:
        return
    out.line()
    out.line(f"{memory.unreadable_count} events could not be read or applied, and every fold skips them", "red")
    out.table(["position", "reason"], [list(each) for each in memory.unreadable])


async def diff(
    session: Session,
    earlier: Annotated[str, typer.Argument(metavar=WHEN, help=f"The earlier moment: {WHEN_HELP}.")],
    later: Annotated[str, typer.Argument(metavar=WHEN, help="The later one.")],
    limit: Limit = _ROWS,
) -> None:
    """What changed between two moments: tasks new, ended and changed, agents, and counts."""
    async with opened(session) as log:
        first = await log.moment(earlier, "diff")
        second = await log.moment(later, "diff")
        if (second.position, second.now) < (first.position, first.now):
            raise CommandError(f"{earlier} is after {later}: name the earlier moment first")
        memory = await rebuilt(session, log, first.position)
        builder = DiffBuilder(memory.state, memory.statistics.totals(), first.now)
        with quiet(logging.getLogger("handlers.memory.memory")), bar(second.position, session.out) as show:
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
