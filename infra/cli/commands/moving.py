"""A pool's log to a file and back: `custody export`, `custody import`."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.timestamps import format_timestamp
from handlers.ports import LogError
from infra.cli.session.opening import opened_at_broker
from infra.cli.session.session import CommandError, Session
from infra.cli.terminal.progress import bar
from infra.export.export_file import ExportReader, ExportWriter, Header
from infra.nats import NatsEventLog, StreamSettings, stream_name
from infra.nats.api import JetStreamApi
from infra.nats.importing import ensure_empty_stream, fill
from infra.reports.audit_formats import FormatError, replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handlers.ports import StoredMessage

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The file.")]


async def export(session: Session, file: FileArgument) -> None:
    """Write the pool's whole log to a file: compressed, with digests, fit for `verify --file` and `import`."""
    pool = session.settings.pool
    if file.exists():
        raise CommandError(f"{file} is there already")
    async with opened_at_broker(session) as log:
        if log.last < log.first:
            raise CommandError(f"pool {pool} has no events yet")
        try:
            with replacing(file) as path:
                writer = ExportWriter(path)
                try:
                    with bar(log.last, session.out) as show:
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
        except FormatError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"cannot write {file}: {error.strerror}") from None
    _tell(session, header, f"exported to {file}")


async def import_(session: Session, file: FileArgument) -> None:
    """Bring an exported log to a broker that has none of this pool: same positions, same bytes."""
    pool = session.settings.pool
    reader = ExportReader(file)
    header = reader.header
    if header.pool != pool:
        raise CommandError(f"{file} is the log of pool {header.pool}, not of {pool}: say --pool {header.pool}")
    reader.check()
    settings = session.settings
    stream = StreamSettings(replicas=settings.stream_replicas, compression=settings.stream_compression)
    async with session.restoring() as connection:
        await ensure_empty_stream(JetStreamApi(connection), pool, stream, first=header.first)
        log = await NatsEventLog.open(connection, pool)
        try:
            with bar(header.last, session.out) as show:
                await fill(log, _shown(reader.messages(), show), first=header.first)
        except LogError as error:
            name = stream_name(pool)
            raise CommandError(f"the import ended part-way, so {name} is not the log: {error}") from None
        finally:
            await log.close()
    _tell(session, header, f"imported from {file}")


def _shown(messages: Iterator[StoredMessage], show: Callable[[int], None]) -> Iterator[StoredMessage]:
    for message in messages:
        show(message.position)
        yield message


def _tell(session: Session, header: Header, what: str) -> None:
    if session.out.as_json:
        session.out.json(header._asdict())
        return
    session.out.line(f"{header.events} events of pool {header.pool}, positions {header.first} to {header.last}, {what}")
    session.out.line(f"root hash {header.root}")
