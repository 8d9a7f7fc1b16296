"""The whole log at once: rebuilding the views from it, and checking it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.timestamps import format_timestamp, parse_timestamp
from handlers.memory import Memory
from handlers.ports import UnreadableEventError
from infra.cli.output import complain, pairs_of
from infra.cli.progress import bar, caught_up
from infra.cli.replies import show_query
from infra.cli.session import EXIT_REFUSED, CommandError, Session, stream_info
from infra.codec import CloudEventsCodec
from infra.nats import NatsEventLog, StreamSettings, stream_name
from infra.nats.stream import config_differences
from projections.queries import (
    BacklogQuery,
    LeasesQuery,
    TasksQuery,
    WorkloadsQuery,
    answer,
    snapshot,
    statistics_document,
)
from projections.verification import LogChecker

if TYPE_CHECKING:
    from datetime import datetime

    from infra.cli.output import Output

_SHOWN_FINDINGS = 20
_ROWS = 20


async def replay(
    session: Session,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME|POSITION", help="Stop there: an RFC 3339 time with its offset, or a position."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows shown of each view.", show_default=True)] = _ROWS,
) -> None:
    """Rebuild the views from the log, as they were at a moment, and show them."""
    pool = session.settings.pool
    codec = CloudEventsCodec(pool)
    memory = Memory(pool, session.settings.rules(), codec, outcomes=0)
    async with session.log() as log:
        goal = await log.last_position() if until is None else await _position(log, codec, until)
        await caught_up(memory, log, session.out, until=goal)
    views = _views(memory, limit)
    if session.out.as_json:
        session.out.json(views)
        return
    out = session.out
    heading = f"pool {pool} at position {views['position']}"
    out.heading(f"{heading}, {views['time']}" if views["time"] else f"{heading}: the log is empty")
    for view in ("statistics", "backlog", "leases", "workloads", "tasks"):
        out.line()
        out.heading(view.upper())
        rows = {**views[view], "next": None}
        show_query(out, view, {"result": rows})
        if views[view].get("next") is not None:
            out.line("more with a larger --limit", "dim")
    _show_unreadable(out, memory)


def _views(memory: Memory, limit: int) -> dict[str, Any]:
    state = memory.state
    shot = snapshot(state, state.last_time, memory.statistics.totals(), lambda _: None)
    return {
        "position": state.position,
        "time": format_timestamp(state.last_time) if state.position else None,
        "statistics": statistics_document(shot),
        "backlog": answer(BacklogQuery(limit=limit), shot),
        "leases": answer(LeasesQuery(limit=limit), shot),
        "workloads": answer(WorkloadsQuery(limit=limit), shot),
        "tasks": answer(TasksQuery(limit=limit), shot),
        "unreadable_events": memory.unreadable_count,
        "unreadable": [each._asdict() for each in memory.unreadable],
    }


def _show_unreadable(out: Output, memory: Memory) -> None:
    if not memory.unreadable_count:
        return
    out.line()
    out.line(f"{memory.unreadable_count} events could not be read or applied, and every fold skips them", "red")
    out.table(["position", "reason"], [list(each) for each in memory.unreadable])


async def _position(log: NatsEventLog, codec: CloudEventsCodec, until: str) -> int:
    """Return the position that a text means: itself, or that of the last event at or before a time."""
    last = await log.last_position()
    if until.isascii() and until.isdigit():
        if int(until) > last:
            raise CommandError(f"position {until} is past the end of the log, {last}")
        return int(until)
    try:
        at = parse_timestamp(until)
    except ValueError as error:
        raise CommandError(
            f"--until {until!r} is neither a position nor a time such as 2026-11-21T08:00:00Z: {error}"
        ) from None
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        time = await _time_at_or_before(log, codec, middle, low)
        if time is None or time <= at:
            low = middle
        else:
            high = middle - 1
    return low


async def _time_at_or_before(log: NatsEventLog, codec: CloudEventsCodec, position: int, above: int) -> datetime | None:
    """Return the time of the nearest readable event from `position` down, above `above`; None if there is none."""
    for each in range(position, above, -1):
        message = await log.get(each)
        if message is not None:
            try:
                return codec.decode(message).time
            except UnreadableEventError:
                continue
    return None


async def verify(session: Session) -> None:
    """Check the whole log: hashes, positions, lifecycles, tokens, holders, and the stream that keeps it."""
    pool = session.settings.pool
    codec, checker = CloudEventsCodec(pool), LogChecker(pool)
    async with session.connected() as connection:
        info = await stream_info(connection, pool)
        config = info["config"]
        chosen = StreamSettings(
            replicas=int(config["num_replicas"]), compression=config.get("compression", "none") != "none"
        )
        differences = config_differences(config, pool, chosen)
        log = await NatsEventLog.open(connection, pool)
        try:
            last = await log.last_position()
            with bar(last, session.out) as show:
                async for chunk in log.read(after=0, until=last):
                    for message in chunk:
                        try:
                            checker.check(message, codec.decode(message))
                        except UnreadableEventError as error:
                            checker.check(message, None, reason=error.reason)
                    show(checker.position)
        finally:
            await log.close()
    _report(session, checker, differences)
    if differences or not checker.ok:
        raise typer.Exit(EXIT_REFUSED)


def _report(session: Session, checker: LogChecker, differences: list[str]) -> None:
    out, summary = session.out, checker.summary()
    summary["ok"] = checker.ok and not differences
    stream = stream_name(session.settings.pool)
    if out.as_json:
        found = [each._asdict() for each in checker.findings]
        out.json({**summary, "stream": stream, "stream_differences": differences, "wrong": found})
        return
    out.line(
        f"{stream}: {'in order' if summary['ok'] else 'NOT in order'}", "bold green" if summary["ok"] else "bold red"
    )
    counts = {name: value for name, value in summary.items() if name not in {"ok", "by_event"}}
    out.facts(pairs_of(counts))
    for each in checker.findings[:_SHOWN_FINDINGS]:
        out.line(str(each), "red")
    if checker.findings_total > _SHOWN_FINDINGS:
        out.line(f"and {checker.findings_total - _SHOWN_FINDINGS} more; --json has up to 1000")
    for difference in differences:
        out.line(f"stream {stream} is not configured as a log must be: {difference}", "red")
    if not checker.ok:
        complain(f"first wrong position: {checker.findings[0].position}")
