"""`custody export`: a pool's whole log, written to a file."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.timestamps import format_timestamp
from infra.cli.session.command_error import CommandError
from infra.cli.session.log_opening import open_broker_log
from infra.cli.session.session import Session
from infra.cli.terminal.progress import progress_bar
from infra.export.export_file import ExportWriter
from infra.host.atomic_file import FileWriteError, atomic_file

if TYPE_CHECKING:
    from infra.export.export_file import Header

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The file.")]


async def export(session: Session, file: FileArgument) -> None:
    """Write the pool's whole log to a file: compressed, with digests, fit for `verify --file` and `import`."""
    pool = session.settings.pool
    if file.exists():
        raise CommandError(f"{file} is there already")
    async with open_broker_log(session) as log:
        if log.last < log.first:
            raise CommandError(f"pool {pool} has no events yet")
        try:
            with atomic_file(file) as path:
                writer = ExportWriter(path)
                try:
                    with progress_bar(log.last, session.out) as show:
                        async for chunk in log.log.read(after=log.first - 1, until=log.last):
                            writer.write(chunk)
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
    show_header(session, header, f"exported to {file}")


def show_header(session: Session, header: Header, what: str) -> None:
    """Print what an export holds, and `what` became of it."""
    if session.out.as_json:
        session.out.json(header._asdict())
        return
    session.out.line(f"{header.events} events of pool {header.pool}, positions {header.first} to {header.last}, {what}")
    session.out.line(f"root hash {header.root}")
