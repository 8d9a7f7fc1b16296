"""The whole log at once: rebuilding the views from it, and checking it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handlers.ports import UnreadableEventError
from infra.checkpoint import CheckpointError, read_checkpoint, read_key
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


class _Verification:
    """A checker at work, and what was signed earlier for it to be held against."""

    def __init__(self, pool: str, checkpoint: Path | None, key: Path | None) -> None:
        self.checker = LogChecker(pool)
        self._codec = CloudEventsCodec(pool)
        self._hash: str | None = None
        try:
            self._signed = None if checkpoint is None or key is None else read_checkpoint(checkpoint, read_key(key))
        except CheckpointError as error:
            raise CommandError(str(error)) from None
        if self._signed is not None and self._signed.pool != pool:
            raise CommandError(f"{checkpoint} is of pool {self._signed.pool}, not of {pool}")

    def take(self, message: StoredMessage) -> None:
        """Check the next message."""
        try:
            self.checker.check(message, self._codec.decode(message))
        except UnreadableEventError as error:
            self.checker.check(message, None, reason=error.reason)
        if self._signed is not None and message.position == self._signed.position:
            self._hash = self._codec.hash_of(message)

    def facts(self) -> dict[str, Any]:
        """Return what was compared with a checkpoint, for machines."""
        return {} if self._signed is None else {"checkpoint": self._signed._asdict(), "rewritten": self.rewritten()}

    def rewritten(self) -> str | None:
        """Return in what the log differs from the checkpoint, or None."""
        signed = self._signed
        if signed is None or self._hash == signed.hash:
            return None
        if self._hash is None:
            return (
                f"position {signed.position} of the checkpoint is not in the log, which ends at {self.checker.position}"
            )
        return f"rewritten since {signed.made_at}: position {signed.position} had hash {signed.hash}, now {self._hash}"


async def verify(
    session: Session,
    file: Annotated[
        Path | None, typer.Option(help="Check this export instead of the log at the broker.", show_default=False)
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Check that the log was not rewritten since this was made.", show_default=False)
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The key that signed the checkpoint.", show_default=False)] = None,
) -> None:
    """Check the whole log: hashes, positions, lifecycles, tokens, holders, and the stream that keeps it."""
    if (checkpoint is None) != (key is None):
        raise typer.BadParameter("--checkpoint and --key go together", param_hint="--checkpoint")
    if file is not None:
        _verify_file(session, file, checkpoint, key)
        return
    pool = session.settings.pool
    work = _Verification(pool, checkpoint, key)
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
                        work.take(message)
                    show(work.checker.position)
        finally:
            await log.close()
    name = stream_name(pool)
    described = [f"stream {name} is not configured as a log must be: {each}" for each in differences]
    _report(session, work, name, {"stream": name, "stream_differences": differences}, described)


def _verify_file(session: Session, file: Path, checkpoint: Path | None, key: Path | None) -> None:
    try:
        reader = ExportReader(file)
        work = _Verification(reader.header.pool, checkpoint, key)
        with bar(reader.header.last, session.out) as show:
            for message in reader.messages():
                work.take(message)
                show(work.checker.position)
    except ExportFileError as error:
        raise CommandError(str(error)) from None
    described = [f"{file} is not what was exported: {each}" for each in reader.differences]
    facts = {"file": str(file), "pool": reader.header.pool, "file_differences": reader.differences}
    _report(session, work, str(file), facts, described)


def _report(session: Session, work: _Verification, name: str, facts: dict[str, Any], differences: list[str]) -> None:
    """Print what was found; raises typer.Exit unless all is in order. `differences`: what is wrong around the log."""
    out, checker, rewritten = session.out, work.checker, work.rewritten()
    summary = checker.summary()
    differences = [*differences, *([rewritten] if rewritten else [])]
    summary["ok"] = checker.ok and not differences
    if out.as_json:
        out.json({**summary, **facts, **work.facts(), "wrong": [each._asdict() for each in checker.findings]})
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
