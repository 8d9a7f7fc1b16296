"""`custody audit`: the log as rows, filtered, in one of several formats."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer

from domain.events import Entity
from domain.subjects import subject_token
from handlers.ports import UnreadableEventError, evt_prefix
from infra.cli.commands.arguments import check_events, check_ids, check_known
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_log
from infra.cli.session.open_log import FromOption, OpenLog, ToOption
from infra.cli.session.session import Session
from infra.cli.terminal.output import print_error
from infra.cli.terminal.progress import frozen_objects, progress_bar
from infra.host.atomic_file import FileWriteError, atomic_file
from infra.host.printable import PrintableText, printable
from infra.reports.audit_formats import Csv, Format, JsonLines, Sink, Table
from infra.reports.audit_parquet import Parquet
from infra.reports.report_error import ReportError
from projections.reports.audit_filter import LEARNED_SUBJECTS, AgentFilter, actor_matches, subject_filter
from projections.reports.audit_rows import Row, Rows, unreadable_audit_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from domain.recorded import Recorded
    from handlers.ports import Codec, StoredMessage
    from infra.cli.terminal.output import Output

_AT_ONCE = 200
"""Events that go through each step together: few enough to stay in the processor's cache."""


async def audit(
    session: Session,
    *,
    task: Annotated[str | None, typer.Option(help="Only events about this task.")] = None,
    agent: Annotated[
        str | None, typer.Option(help="Only events about this agent, by it, and on tasks under its leases.")
    ] = None,
    from_: FromOption = None,
    to: ToOption = None,
    actor: Annotated[
        str | None, typer.Option(help="Only what this actor did: agent/a1, ops/alice, sweeper; ops: every operator.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option(help="Only events of this name, such as leased; may be repeated.")
    ] = None,
    entity: Annotated[Entity | None, typer.Option(help="Only events about one kind of thing.")] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: by the ending of --output, without one table.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file; needed for parquet.")] = None,
) -> None:
    """Who did what, when, why, under which token, decided by which numbers; filtered, in several formats."""
    names = frozenset(event or ())
    check_events(names)
    if task is not None and entity not in {None, Entity.TASK}:
        raise typer.BadParameter("--task asks for events about a task", param_hint="--entity")
    check_ids(task, agent)
    form = _form(session.out, format_, output)
    async with open_log(session) as log:
        first, last = await log.positions(from_, to)
        await check_known(session, log, task, agent)
        subjects = subject_filter(
            evt_prefix(session.settings.pool),
            entity=Entity.TASK if task is not None else entity,
            entity_id=task,
            event=next(iter(names)) if len(names) == 1 else None,
        )
        trail = None
        if agent is not None:
            trail = await _trail(session, log, agent, (first, last), task, whole=subjects is None)
        with (
            _sink(session.out, form, output) as sink,
            progress_bar(last - first + 1, session.out) as show,
            frozen_objects(),
        ):
            selection = Selection(log.codec, Rows(ascii_only=sink.ascii_only), trail, actor, names)
            async for chunk in _messages(log, subjects, first - 1, last):
                rows = selection.of(chunk)
                if rows:
                    sink.write(rows)
                show(chunk[-1].position - first + 1)
    if selection.left_out:
        print_error(
            f"{selection.left_out} messages cannot be read, so their agent and actor are unknown; they are left out"
        )


class Selection:
    """The filter of an audit: which messages become rows."""

    def __init__(
        self, codec: Codec, rows: Rows, trail: AgentFilter | None, actor: str | None, names: frozenset[str]
    ) -> None:
        self._codec = codec
        self._rows = rows
        self._names = names
        self._trail = trail
        self._actor = actor
        self.left_out = 0

    def of(self, messages: Sequence[StoredMessage]) -> list[Row]:
        """Return the rows of a chunk."""
        return [
            each
            for start in range(0, len(messages), _AT_ONCE)
            for each in self._rows_of(messages[start : start + _AT_ONCE])
        ]

    def _rows_of(self, messages: Sequence[StoredMessage]) -> list[Row]:
        decode, everything = self._codec.decode, self._trail is None and self._actor is None
        wanted: list[Recorded] = []
        unreadable: list[tuple[int, Row]] = []
        for message in messages:
            try:
                recorded = decode(message)
            except UnreadableEventError as error:
                if everything:
                    row = unreadable_audit_row(message.position, message.subject, error.reason)
                    unreadable.append((len(wanted) + len(unreadable), row))
                else:
                    self.left_out += 1
                continue
            if (everything and not self._names) or self._wants(recorded):
                wanted.append(recorded)
        rows = self._rows.of(wanted)
        for place, row in unreadable:
            rows.insert(place, row)
        return rows

    def _wants(self, recorded: Recorded) -> bool:
        # The trail follows every event: it learns grants from those that are not shown.
        concerns = self._trail is None or self._trail.includes(recorded)
        named = not self._names or recorded.event.name in self._names
        return concerns and named and (self._actor is None or actor_matches(recorded.actor, self._actor))


def _form(out: Output, format_: Format | None, output: Path | None) -> Format:
    by_ending = {
        "": Format.TABLE,
        ".txt": Format.TABLE,
        ".csv": Format.CSV,
        ".parquet": Format.PARQUET,
        ".jsonl": Format.JSONL,
        ".ndjson": Format.JSONL,
    }
    if out.as_json:
        if format_ not in {None, Format.JSONL}:
            raise typer.BadParameter("--json is JSON lines", param_hint="--format")
        return Format.JSONL
    form = format_ or by_ending.get(output.suffix.lower() if output is not None else "")
    if form is None:
        raise typer.BadParameter(f"no format is known by the ending of {output}: choose one with --format")
    if form is Format.PARQUET and output is None:
        raise typer.BadParameter("parquet is not for reading: name a file with --output", param_hint="--format")
    return form


async def _trail(
    session: Session, log: OpenLog, agent: str, between: tuple[int, int], task: str | None, *, whole: bool
) -> AgentFilter:
    """Return the agent's trail, with the grants that the audit itself will not read.

    `whole`: the audit reads every event between the two positions.
    """
    trail, after, until = AgentFilter(agent), log.first - 1, between[1]
    if whole:
        until = between[0] - 1
        if until > after:
            # A lease that had ended by then concerns no later event, so the leases held at a snapshot suffice.
            from infra.cli.session.rebuilding import restore_memory

            memory = await restore_memory(session, log, until)
            trail.start_from(memory.state)
            after = max(after, memory.state.position)
    prefix = evt_prefix(session.settings.pool)
    for subject in LEARNED_SUBJECTS:
        wanted = subject if task is None else subject.replace("task.*", f"task.{subject_token(task)}")
        async for chunk in _messages(log, f"{prefix}{wanted}", after, until):
            for message in chunk:
                with contextlib.suppress(UnreadableEventError):
                    trail.learn(log.codec.decode(message))
    return trail


async def _messages(
    log: OpenLog, subjects: str | None, after: int, until: int
) -> AsyncIterator[Sequence[StoredMessage]]:
    after = max(after, log.first - 1)
    if until <= after:
        return
    chunks = log.log.read(after=after, until=until)
    async for chunk in chunks if subjects is None else log.matching(subjects, after=after, until=until):
        yield chunk


@contextlib.contextmanager
def _sink(out: Output, form: Format, output: Path | None) -> Iterator[Sink]:
    """Give the writer of the rows; a file appears only when it is complete."""
    try:
        if output is None:
            sink = _text_sink(out, form)
            yield sink
            sink.close()
            return
        with atomic_file(output) as path:
            if form is Format.PARQUET:
                parquet = Parquet(path)
                yield parquet
                parquet.close()
                return
            with path.open("w", encoding="utf-8", newline="") as file:
                sink = _file_sink(form, file)
                yield sink
                sink.close()
    except (ReportError, FileWriteError) as error:
        raise CommandError(str(error)) from None


def _text_sink(out: Output, form: Format) -> Sink:
    if form is Format.TABLE and out.terminal:
        return Table(out.line)
    # Rows for a program are left as they are; a terminal would carry out what is in them.
    return _file_sink(form, cast("IO[str]", PrintableText(sys.stdout)) if out.terminal else sys.stdout)


def _file_sink(form: Format, file: IO[str]) -> Sink:
    match form:
        case Format.JSONL:
            return JsonLines(file)
        case Format.CSV:
            return Csv(file)
        case _:
            return Table(lambda line: print(printable(line), file=file))
