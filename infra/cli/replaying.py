"""The whole log at once: rebuilding the views from it, and checking it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handlers.ports import UnreadableEventError
from infra.cli.moments import WHEN, WHEN_HELP, opened
from infra.cli.output import complain, pairs_of
from infra.cli.progress import bar
from infra.cli.rebuilding import rebuilt
from infra.cli.session import EXIT_REFUSED, CommandError, Session, stream_info
from infra.cli.travelling import show_unreadable, show_views, unreadable
from infra.codec import CloudEventsCodec
from infra.export_file import ExportFileError, ExportReader
from infra.nats import NatsEventLog, StreamSettings, stream_name
from infra.nats.stream import config_differences
from projections.verification import LogChecker
from projections.views import views_at

if TYPE_CHECKING:
    from handlers.ports import StoredMessage

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


async def verify(
    session: Session,
    file: Annotated[
        Path | None, typer.Option(help="Check this export instead of the log at the broker.", show_default=False)
    ] = None,
) -> None:
    """Check the whole log: hashes, positions, lifecycles, tokens, holders, and the stream that keeps it."""
    if file is not None:
        _verify_file(session, file)
        return
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
                        _check(checker, codec, message)
                    show(checker.position)
        finally:
            await log.close()
    name = stream_name(pool)
    described = [f"stream {name} is not configured as a log must be: {each}" for each in differences]
    _report(session, checker, name, {"stream": name, "stream_differences": differences}, described)


def _verify_file(session: Session, file: Path) -> None:
    try:
        reader = ExportReader(file)
        codec, checker = CloudEventsCodec(reader.header.pool), LogChecker(reader.header.pool)
        with bar(reader.header.last, session.out) as show:
            for message in reader.messages():
                _check(checker, codec, message)
                show(checker.position)
    except ExportFileError as error:
        raise CommandError(str(error)) from None
    described = [f"{file} is not what was exported: {each}" for each in reader.differences]
    facts = {"file": str(file), "pool": reader.header.pool, "file_differences": reader.differences}
    _report(session, checker, str(file), facts, described)


def _check(checker: LogChecker, codec: CloudEventsCodec, message: StoredMessage) -> None:
    try:
        checker.check(message, codec.decode(message))
    except UnreadableEventError as error:
        checker.check(message, None, reason=error.reason)


def _report(session: Session, checker: LogChecker, name: str, facts: dict[str, Any], differences: list[str]) -> None:
    """Print what was found; raises typer.Exit unless all is in order. `differences`: what is wrong around the log."""
    out, summary = session.out, checker.summary()
    summary["ok"] = checker.ok and not differences
    if out.as_json:
        out.json({**summary, **facts, "wrong": [each._asdict() for each in checker.findings]})
    else:
        out.line(
            f"{name}: {'in order' if summary['ok'] else 'NOT in order'}", "bold green" if summary["ok"] else "bold red"
        )
        out.facts(pairs_of({name: value for name, value in summary.items() if name not in {"ok", "by_event"}}))
        for each in checker.findings[:_SHOWN_FINDINGS]:
            out.line(str(each), "red")
        if checker.findings_total > _SHOWN_FINDINGS:
            out.line(f"and {checker.findings_total - _SHOWN_FINDINGS} more; --json has up to 1000")
        for difference in differences:
            out.line(difference, "red")
        if not checker.ok:
            complain(f"first wrong position: {checker.findings[0].position}")
    if not summary["ok"]:
        raise typer.Exit(EXIT_REFUSED)
