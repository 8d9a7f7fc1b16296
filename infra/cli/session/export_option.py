"""`--file`: an exported log that is read instead of the one at the broker."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import typer

from infra.cli.session.command_error import CommandError

if TYPE_CHECKING:
    from pathlib import Path

    from infra.cli.session.session import Session


def read_export(session: Session, file: Path, flags: dict[str, Any]) -> None:
    """Make a session read an export, of the pool that the file names.

    Raises:
        CommandError: it is of another pool than the flags name.
        ExportFileError: it is no export.
    """
    from infra.export.export_file import ExportReader

    if flags["nats"] is not None:
        raise typer.BadParameter("a file is read without a broker", param_hint="--file and --nats")
    # Reading a file never awaits, so asyncio's own handler of SIGINT could not cancel the command.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    reader = ExportReader(file)
    pool = reader.header.pool
    if flags["pool"] not in {None, pool}:
        raise CommandError(f"{file} is the log of pool {pool}, not of {flags['pool']}")
    session.settings = session.settings.model_copy(update={"pool": pool})
    session.export = reader
