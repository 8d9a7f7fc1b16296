"""What a command line means by a time or a position, on a log that is open for reading."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from domain.timestamps import EPOCH, TICK, parse_timestamp
from handlers.positions import position_at, time_at
from infra.cli.session import CommandError, Session, stream_info
from infra.codec import CloudEventsCodec
from infra.nats import NatsEventLog
from infra.nats.api import JetStreamApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

WHEN = "TIME|POSITION"
_LONGEST_POSITION = 20
WHEN_HELP = "an RFC 3339 time with its offset, or a position"


class Moment(NamedTuple):
    """A point of the log's history: what had happened by then, and what the clock said."""

    position: int
    now: datetime


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A pool's log, for reading, with the positions it had when it was opened."""

    log: NatsEventLog
    codec: CloudEventsCodec
    api: JetStreamApi
    first: int
    last: int

    async def moment(self, text: str, flag: str, *, now: datetime) -> Moment:
        """Return the moment that a text means; `now` bounds it.

        Raises:
            CommandError: it is neither a position of the log nor a time that has come.
        """
        at = self._parsed(text, flag)
        if isinstance(at, int):
            self._check_kept(at, flag)
            time = await time_at(self.log, self.codec, at, above=self.first - 1)
            return Moment(at, time or EPOCH)
        if at > now:
            raise CommandError(f"{flag} {text} has not come yet")
        return Moment(await self._until(at), at)

    async def first_from(self, text: str | None, flag: str) -> int:
        """Return the position at which reading begins that is to begin at a time or a position."""
        if text is None:
            return self.first
        at = self._parsed(text, flag)
        if isinstance(at, int):
            return max(self.first, at)
        return max(self.first, await self._until(at - TICK) + 1) if at > EPOCH else self.first

    async def last_until(self, text: str | None, flag: str) -> int:
        """Return the position at which reading ends that is to end at a time or a position, both included."""
        if text is None:
            return self.last
        at = self._parsed(text, flag)
        if not isinstance(at, int):
            return await self._until(at)
        self._check_kept(at, flag)
        return at

    async def _until(self, at: datetime) -> int:
        found = await position_at(self.log, self.codec, at, first=self.first, last=self.last)
        return found if found >= self.first else 0

    def _check_kept(self, position: int, flag: str) -> None:
        if 0 < position < self.first - 1:
            raise CommandError(f"{flag}: position {position} is before the beginning of the log, {self.first}")

    def _parsed(self, text: str, flag: str) -> int | datetime:
        if text.isascii() and text.isdigit():
            if len(text) > _LONGEST_POSITION or int(text) > self.last:
                raise CommandError(f"{flag}: position {text} is past the end of the log, {self.last}")
            return int(text)
        try:
            return parse_timestamp(text)
        except (ValueError, OverflowError) as error:
            raise CommandError(
                f"{flag} {text!r} is neither a position nor a time such as 2026-11-21T08:00:00Z: {error}"
            ) from None


@contextlib.asynccontextmanager
async def opened(session: Session, user: str = "operator", *, live: bool = False) -> AsyncIterator[OpenLog]:
    """Open the pool's log for reading, as one of the broker's users; `live`: only where it can still grow.

    Raises:
        CommandError: the pool has none.
    """
    pool = session.settings.pool
    async with session.connected(user=user) if live else session.reading(user=user) as connection:
        state = (await stream_info(connection, pool))["state"]
        log = await NatsEventLog.open(connection, pool, request_timeout_s=session.timeout_s)
        api = JetStreamApi(connection, timeout_s=session.timeout_s)
        first = max(1, int(state["first_seq"]))
        try:
            yield OpenLog(log, CloudEventsCodec(pool), api, first, int(state["last_seq"]))
        finally:
            await log.close()
