"""The whole log at once: rebuilding the views from it, and checking it."""

from __future__ import annotations

from typing import Annotated

import typer

from handlers.ports import UnreadableEventError
from infra.cli.moments import WHEN, WHEN_HELP, opened
from infra.cli.output import complain, pairs_of
from infra.cli.progress import bar
from infra.cli.rebuilding import rebuilt
from infra.cli.session import EXIT_REFUSED, Session, stream_info
from infra.cli.travelling import show_unreadable, show_views, unreadable
from infra.codec import CloudEventsCodec
from infra.nats import NatsEventLog, StreamSettings, stream_name
from infra.nats.stream import config_differences
from projections.verification import LogChecker
from projections.views import views_at

_SHOWN_FINDINGS = 20
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
