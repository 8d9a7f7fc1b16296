"""`custody verify`: checks a whole log, and the live views of its service against it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handlers.ports import UnreadableEventError
from infra.cli.commands.verify_checkpoints import SignedCheckpoints
from infra.cli.commands.verify_live_views import Agreement, compare_live_views
from infra.cli.session.session import Session, stream_info
from infra.cli.terminal.output import flatten, print_error
from infra.cli.terminal.progress import progress_bar
from infra.codec import CloudEventsCodec
from infra.host.shell import EXIT_FAILED
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import StreamSettings, config_differences, stream_name
from projections.reports.time_text import moment
from projections.reports.verification import LogChecker
from projections.reports.wording import lost_positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.ports import StoredMessage
    from infra.export.export_file import ExportReader

_SHOWN_FINDINGS = 20
_NOT_FACTS = frozenset({"ok", "by_event", "tail_losses"})
"""Of the summary: shown in words, or with --json only."""


class _Verification:
    """The checks of one log, message by message, and of the checkpoints that were signed of it."""

    def __init__(self, pool: str, checkpoints: Sequence[Path], public_key: Path | None) -> None:
        self.checker = LogChecker(pool)
        self.codec = CloudEventsCodec(pool)
        self.checkpoints = SignedCheckpoints(pool, checkpoints, public_key)

    def take(self, message: StoredMessage) -> None:
        """Check the next message."""
        try:
            self.checker.check(message, self.codec.decode(message))
        except UnreadableEventError as error:
            self.checker.check(message, None, reason=error.reason)
        self.checkpoints.take(message)


async def verify(
    session: Session,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="Check that the log was not rewritten since this was signed; may be repeated.", show_default=False
        ),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="The public key of who signed the checkpoints.", show_default=False)
    ] = None,
) -> None:
    """Check the whole log: hashes, positions, lifecycles, tokens, holders, its stream and its live views."""
    checkpoints = checkpoint or []
    if bool(checkpoints) != (public_key is not None):
        raise typer.BadParameter("--checkpoint and --public-key go together", param_hint="--checkpoint")
    if session.export is not None:
        _verify_file(session, session.export, checkpoints, public_key)
        return
    pool = session.settings.pool
    work = _Verification(pool, checkpoints, public_key)
    async with session.reading() as connection:
        info = await stream_info(connection, pool)
        config = info["config"]
        log = await NatsEventLog.open(connection, pool, request_timeout_s=session.timeout_s)
        try:
            await _read(session, work, log, begins=int(config.get("first_seq") or 1))
            if work.checker.has_gaps:
                agreement = Agreement(not_compared="events are missing, so the views cannot be computed from the log")
            else:
                agreement = await compare_live_views(session, connection, log, work.codec)
        finally:
            await log.close()
    name = stream_name(pool)
    chosen = StreamSettings(
        replicas=int(config["num_replicas"]), compression=config.get("compression", "none") != "none"
    )
    differences = config_differences(config, pool, chosen)
    described = [f"stream {name} is not configured as a log must be: {each}" for each in differences]
    described += [f"live views: {each}" for each in agreement.differences]
    facts = {"stream": name, "stream_differences": differences, **agreement.facts()}
    _report(session, work, name, facts, described, agreement.line())


async def _read(session: Session, work: _Verification, log: NatsEventLog, *, begins: int) -> None:
    """Check every message of the log; `begins`: the first position of the stream as it was created."""
    last = await log.last_position()
    with progress_bar(last, session.out) as show:
        async for chunk in log.read_across_gaps():
            for message in chunk:
                work.take(message)
            show(work.checker.position)
    if last >= begins:
        work.checker.end(last)


def _verify_file(session: Session, reader: ExportReader, checkpoints: Sequence[Path], public_key: Path | None) -> None:
    work, file = _Verification(reader.header.pool, checkpoints, public_key), reader.path
    with progress_bar(reader.header.last, session.out) as show:
        for message in reader.messages():
            work.take(message)
            show(work.checker.position)
    described = [f"{file} is not what was exported: {each}" for each in reader.differences]
    facts = {"file": str(file), "pool": reader.header.pool, "file_differences": reader.differences}
    _report(session, work, str(file), facts, described)


def _losses(checker: LogChecker) -> list[str]:
    return [
        f"{lost_positions(loss)}; accepted at {moment(loss.at)}, filled up to {loss.filled_to}"
        for loss in checker.tail_losses
    ]


def _report(
    session: Session,
    work: _Verification,
    name: str,
    facts: dict[str, Any],
    differences: list[str],
    note: str | None = None,
) -> None:
    """Print what was found; raises typer.Exit unless all is in order.

    `differences`: what is wrong besides the log's events.
    """
    out, checker, rewritten = session.out, work.checker, work.checkpoints.rewritten()
    summary = checker.summary()
    differences = [*differences, *([rewritten] if rewritten else [])]
    summary["ok"] = checker.ok and not differences
    if out.as_json:
        out.json(
            {**summary, **facts, **work.checkpoints.facts(), "wrong": [each._asdict() for each in checker.findings]}
        )
    else:
        out.line(
            f"{name}: {'in order' if summary['ok'] else 'NOT in order'}", "bold green" if summary["ok"] else "bold red"
        )
        out.facts(flatten({name: value for name, value in summary.items() if name not in _NOT_FACTS}))
        for each in (*_losses(checker), note, *(work.checkpoints.lines() if checker.ok else ())):
            if each:
                out.line(each)
        for each in checker.findings[:_SHOWN_FINDINGS]:
            out.line(str(each), "red")
        if checker.findings_total > _SHOWN_FINDINGS:
            out.line(f"and {checker.findings_total - _SHOWN_FINDINGS} more; --json has up to 1000")
        for difference in differences[:_SHOWN_FINDINGS]:
            out.line(difference, "red")
        if len(differences) > _SHOWN_FINDINGS:
            out.line(f"and {len(differences) - _SHOWN_FINDINGS} more; --json has them")
        if not checker.ok:
            print_error(f"first wrong position: {checker.findings[0].position}")
    if not summary["ok"]:
        raise typer.Exit(EXIT_FAILED)
