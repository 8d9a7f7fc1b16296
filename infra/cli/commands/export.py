"""`custody export`: a pool's whole log, written to a file."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.timestamps import format_timestamp
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_broker_log
from infra.cli.session.session import Session
from infra.cli.terminal.output import print_error
from infra.cli.terminal.progress import progress_bar
from infra.export.export_file import ExportWriter
from infra.host.atomic_file import FileWriteError, atomic_file
from infra.nats.importing import why_not_importable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.ports import StoredMessage
    from infra.export.export_file import Header

_MOST_NAMED = 100
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The file.")]


async def export(session: Session, file: FileArgument) -> None:
    """Write the pool's whole log to a file: compressed, with digests, fit for `verify --file` and `import`."""
    pool = session.settings.pool
    if file.exists():
        raise CommandError(f"{file} is there already")
    async with open_broker_log(session) as log:
        if log.last < log.first:
            raise CommandError(f"pool {pool} has no events yet")
        kept_out = _NotImportable(log.api.connection.client.max_payload)
        try:
            with atomic_file(file) as path:
                writer = ExportWriter(path)
                try:
                    with progress_bar(log.last, session.out) as show:
                        async for chunk in log.log.read(after=log.first - 1, until=log.last):
                            writer.write(chunk)
                            kept_out.look_at(chunk)
                            show(chunk[-1].position)
                    header = writer.finish(
                        pool=pool,
                        exported_at=format_timestamp(datetime.now(UTC)),
                        software=f"custody {importlib.metadata.version('custody')}",
                    )
                finally:
                    writer.close()
        except FileWriteError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"cannot write {file}: {error.strerror}") from None
    show_header(session, header, f"exported to {file}", not_importable=kept_out.found)
    kept_out.warn()


class _NotImportable:
    """The messages of a log that could not be imported again at a broker like the one that has them."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._count = 0
        self.found: list[dict[str, Any]] = []
        """The first of them."""

    def look_at(self, messages: Sequence[StoredMessage]) -> None:
        """Take some messages."""
        for message in messages:
            reason = why_not_importable(message, self._limit_bytes)
            if reason is not None:
                self._count += 1
                if len(self.found) < _MOST_NAMED:
                    self.found.append({"position": message.position, "reason": reason})

    def warn(self) -> None:
        """Print a line if there are any."""
        if self.found:
            first = self.found[0]
            print_error(
                f"warning: {self._count} of these could not be imported again at a broker with the same limits, the "
                f"first at position {first['position']}: {first['reason']}; the file can be read with --file"
            )


def show_header(
    session: Session, header: Header, what: str, *, not_importable: Sequence[dict[str, Any]] | None = None
) -> None:
    """Print what an export holds, and `what` became of it."""
    if session.out.as_json:
        session.out.json(
            header._asdict() if not_importable is None else {**header._asdict(), "not_importable": not_importable}
        )
        return
    session.out.line(f"{header.events} events of pool {header.pool}, positions {header.first} to {header.last}, {what}")
    session.out.line(f"root hash {header.root}")
