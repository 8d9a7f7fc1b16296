"""`custody import`: an exported log, written to a broker."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from handlers.ports import LogError
from infra.cli.commands.export import FileArgument, show_header
from infra.cli.session.command_error import CommandError
from infra.cli.session.session import Session
from infra.cli.terminal.progress import progress_bar
from infra.export.export_file import ExportReader
from infra.nats.api import JetStreamApi
from infra.nats.event_log import NatsEventLog
from infra.nats.importing import ImportedLog, ensure_continued, fill, prepare_stream, why_not_importable
from infra.nats.stream import StreamSettings, stream_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from handlers.ports import StoredMessage


_HEADERS_BYTES = 512
"""A message with the broker's own headers takes no more than its line in an export, and this."""


async def import_(session: Session, file: FileArgument) -> None:
    """Bring an exported log to a broker that has none of this pool: same positions, same bytes.

    One that was broken off is gone on with by the same command; until then nothing reads or serves what is there.
    """
    pool = session.settings.pool
    reader = ExportReader(file)
    header = reader.header
    if header.pool != pool:
        raise CommandError(f"{file} is the log of pool {header.pool}, not of {pool}: say --pool {header.pool}")
    reader.check()
    whole = ImportedLog(header.first, header.last, header.root)
    settings = session.settings
    stream = StreamSettings(replicas=settings.stream_replicas, compression=settings.stream_compression)
    async with session.importing() as connection:
        limit_bytes = connection.client.max_payload
        _ensure_room(reader, limit_bytes)
        position = await prepare_stream(JetStreamApi(connection), pool, stream, whole)
        log = await NatsEventLog.open(connection, pool, as_stored=True)
        try:
            if position >= header.first:
                for message in itertools.islice(reader.messages(after=position - 1), 1):
                    await ensure_continued(log, pool, message)
            with progress_bar(header.last, session.out) as show:
                messages = _with_progress(reader.messages(after=position), show)
                await fill(log, messages, after=position, limit_bytes=limit_bytes)
        except LogError as error:
            name = stream_name(pool)
            raise CommandError(
                f"the import ended part-way, so {name} is not the log yet; the same command goes on with it: {error}"
            ) from None
        finally:
            await log.close()
    show_header(session, header, f"imported from {file}")


def _ensure_room(reader: ExportReader, limit_bytes: int) -> None:
    """Raise CommandError, before anything is written, if the broker would not take one of the messages."""
    if reader.longest_line_bytes + _HEADERS_BYTES <= limit_bytes:
        return
    for message in reader.messages():
        reason = why_not_importable(message, limit_bytes)
        if reason is not None:
            raise CommandError(f"position {message.position} cannot be imported there: {reason}")


def _with_progress(messages: Iterator[StoredMessage], show: Callable[[int], None]) -> Iterator[StoredMessage]:
    for message in messages:
        show(message.position)
        yield message
