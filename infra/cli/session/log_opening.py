"""Opening a pool's log for a command that reads it: at a broker, or in an exported file."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.timestamps import parse_timestamp
from handlers.memory.positions import position_at, time_at
from handlers.ports import UnreadableEventError
from infra.cli.session.open_log import OpenLog
from infra.cli.session.session import Session, stream_info
from infra.cli.terminal.progress import progress_bar
from infra.codec import CloudEventsCodec
from infra.export.export_error import ExportFileError
from infra.export.file_log import FileLog
from infra.nats.api import JetStreamApi
from infra.nats.event_log import NatsEventLog
from infra.nats.filtered_reader import last_matching, read_matching
from infra.nats.stream import stream_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from handlers.ports import StoredMessage
    from infra.export.export_file import ExportReader
    from infra.nats.snapshot_store import NatsSnapshots


class BrokerLog(OpenLog):
    """A log at a broker."""

    log: NatsEventLog

    def __init__(self, pool: str, log: NatsEventLog, api: JetStreamApi, *, first: int, last: int) -> None:
        super().__init__(pool, log, first=first, last=last, now=datetime.now(UTC))
        self.api = api
        self._pool = pool

    def matching(self, subject_filter: str, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message on matching subjects, filtered by the broker. Raises LogUnavailableError."""
        return read_matching(self.api, stream_name(self._pool), subject_filter, after=after, until=until)

    async def last_matching(self, subject_filter: str) -> int:
        """The position of the newest message on a matching subject, 0 if there is none. Raises LogUnavailableError."""
        return await last_matching(self.api, stream_name(self._pool), subject_filter)

    def snapshots(self, build: str) -> NatsSnapshots:
        """The snapshots that are stored beside the log."""
        from infra.nats.snapshot_store import NatsSnapshots

        return NatsSnapshots(self.api, self._pool, build)

    async def position_at(self, at: datetime) -> int:
        """The position of the last event at or before a time, `first` - 1 if there is none."""
        return await position_at(self.log, self.codec, at, first=self.first, last=self.last)

    async def time_at(self, position: int) -> datetime | None:
        """The time of the nearest readable event from `position` down; None if there is none."""
        return await time_at(self.log, self.codec, position, above=self.first - 1)


class ExportedLog(OpenLog):
    """A log in a file, known until the time of its export."""

    log: FileLog

    def __init__(self, reader: ExportReader, now: datetime) -> None:
        log = FileLog(reader)
        super().__init__(reader.header.pool, log, first=log.first, last=log.last, now=now)
        self.not_yet = f"is after {reader.path} was exported, {reader.header.exported_at}"

    def matching(self, subject_filter: str, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message on matching subjects."""
        return self.log.read(after=after, until=until, subject_filter=subject_filter)

    async def last_matching(self, subject_filter: str) -> int:
        """The position of the newest message on a matching subject, 0 if there is none."""
        return await self.log.last_matching(subject_filter)

    def snapshots(self, build: str) -> None:  # noqa: ARG002 - the base's signature
        """None: an export holds the log alone."""
        return

    async def position_at(self, at: datetime) -> int:
        """The position of the last event at or before a time, `first` - 1 if there is none."""
        return await self.log.position_at(at, self.codec)

    async def time_at(self, position: int) -> datetime | None:
        """The time of the nearest readable event from `position` down; None if there is none."""
        return await self.log.time_at(position, self.codec)


@contextlib.asynccontextmanager
async def open_log(session: Session) -> AsyncIterator[OpenLog]:
    """Open the log that a command is to read: the pool's at the broker, or that in the file that `--file` names.

    A file is checked to its end first, so that nothing is printed from one that is incomplete.

    Raises:
        CommandError: the pool has no log.
        ExportFileError: the file is not what was exported.
    """
    if session.export is None:
        async with open_broker_log(session) as log:
            yield log
    else:
        yield _open_export(session, session.export)


def _open_export(session: Session, reader: ExportReader) -> ExportedLog:
    with progress_bar(reader.header.last, session.out) as show:
        newest = reader.check(show)
    try:
        now = parse_timestamp(reader.header.exported_at)
    except (ValueError, OverflowError):
        raise ExportFileError(f"{reader.path} does not say when it was exported") from None
    with contextlib.suppress(UnreadableEventError):
        # The exporting machine's clock may be behind the service's.
        now = max(now, CloudEventsCodec(reader.header.pool).decode(newest).time)
    return ExportedLog(reader, now)


@contextlib.asynccontextmanager
async def open_broker_log(session: Session, user: str = "operator", *, live: bool = False) -> AsyncIterator[BrokerLog]:
    """Open the pool's log for reading, as one of the broker's users; `live`: only at a running broker.

    Raises:
        CommandError: the pool has none.
    """
    pool = session.settings.pool
    async with session.connected(user=user) if live else session.reading(user=user) as connection:
        state = (await stream_info(connection, pool))["state"]
        log = await NatsEventLog.open(connection, pool, request_timeout_s=session.timeout_s)
        api = JetStreamApi(connection, timeout_s=session.timeout_s)
        first, last = max(1, int(state["first_seq"])), int(state["last_seq"])
        try:
            yield BrokerLog(pool, log, api, first=first, last=last)
        finally:
            await log.close()
