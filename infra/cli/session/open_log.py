"""A log that is open for reading, and what a time or a position on the command line means on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from domain.timestamps import EPOCH, TICK
from infra.cli.session.command_error import CommandError
from infra.codec import CloudEventsCodec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime

    from handlers.memory.snapshots import SnapshotStore
    from handlers.ports import ReadableLog, StoredMessage

WHEN = "TIME|POSITION"
_LONGEST_POSITION = 20
WHEN_HELP = "a time (10:00, '2026-11-28 21:23', '10m ago', RFC 3339), or a position of the log"
FromOption = Annotated[str | None, typer.Option("--from", metavar=WHEN, help=f"Begin there: {WHEN_HELP}.")]
ToOption = Annotated[str | None, typer.Option(metavar=WHEN, help=f"End there, included: {WHEN_HELP}.")]


class Moment(NamedTuple):
    """A point of the log's history: the last position by then, and the time."""

    position: int
    now: datetime


class OpenLog(ABC):
    """A pool's log, for reading, with the positions it had when it was opened; it is known until the time `now`."""

    not_yet = "has not come yet"
    """The error's words for a time after `now`."""

    def __init__(self, pool: str, log: ReadableLog, *, first: int, last: int, now: datetime) -> None:
        self.log = log
        self.codec = CloudEventsCodec(pool)
        self.first = first
        self.last = last
        self.now = now

    @abstractmethod
    def matching(self, subject_filter: str, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message on matching subjects with `after` < position <= `until`, in order, in chunks."""

    @abstractmethod
    async def last_matching(self, subject_filter: str) -> int:
        """The position of the newest message on a matching subject, 0 if there is none."""

    @abstractmethod
    def snapshots(self, build: str) -> SnapshotStore | None:
        """The snapshots that a build made of this log; None where none are kept."""

    @abstractmethod
    async def position_at(self, at: datetime) -> int:
        """The position of the last event at or before a time, `first` - 1 if there is none."""

    @abstractmethod
    async def time_at(self, position: int) -> datetime | None:
        """The time of the nearest readable event from `position` down; None if there is none."""

    async def moment(self, text: str, flag: str) -> Moment:
        """Return the moment that a text means.

        Raises:
            CommandError: it is neither a position of the log nor a time until `now`.
        """
        at = self._parsed(text, flag)
        if isinstance(at, int):
            self._check_kept(at, flag)
            return Moment(at, await self.time_at(at) or EPOCH)
        if at > self.now:
            raise CommandError(f"{flag} {text} {self.not_yet}")
        return Moment(await self._until(at), at)

    async def first_from(self, text: str | None, flag: str) -> int:
        """Return the position of the first event at or after a time or a position; the log's first without one."""
        if text is None:
            return self.first
        at = self._parsed(text, flag)
        if isinstance(at, int):
            return max(self.first, at)
        return max(self.first, await self._until(at - TICK) + 1) if at > EPOCH else self.first

    async def last_until(self, text: str | None, flag: str) -> int:
        """Return the position of the last event at or before a time or a position; the log's last without one."""
        if text is None:
            return self.last
        at = self._parsed(text, flag, day_ends=True)
        if not isinstance(at, int):
            return await self._until(at)
        self._check_kept(at, flag)
        return at

    async def positions(self, from_: str | None, to: str | None) -> tuple[int, int]:
        """Return the first and the last position of what the options `--from` and `--to` name.

        Raises CommandError if the end is before the beginning; a range of time without events is allowed.
        """
        first, last = await self.first_from(from_, "--from"), await self.last_until(to, "--to")
        if from_ is not None and to is not None:
            by_position = from_.isdigit() and to.isdigit()
            if first > last + 1 or (first > last and by_position):
                raise CommandError(f"--from {from_} (position {first}) is after --to {to} (position {last})")
        return first, last

    async def _until(self, at: datetime) -> int:
        found = await self.position_at(at)
        return found if found >= self.first else 0

    def _check_kept(self, position: int, flag: str) -> None:
        if 0 < position < self.first - 1:
            raise CommandError(f"{flag}: position {position} is before the beginning of the log, {self.first}")

    def _parsed(self, text: str, flag: str, *, day_ends: bool = False) -> int | datetime:
        if text.isascii() and text.isdigit():
            if len(text) > _LONGEST_POSITION or int(text) > self.last:
                raise CommandError(f"{flag}: position {text} is past the end of the log, {self.last}")
            return int(text)
        from infra.cli.framework.written_times import MOMENTS, parse_moment

        try:
            return parse_moment(text, self.now, day_ends=day_ends)
        except ValueError:
            raise CommandError(f"{flag} {text!r} is neither a position nor a time, such as {MOMENTS}") from None
