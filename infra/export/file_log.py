"""An export as a log to read: every read is one pass over the file."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from handlers.ports import LogTruncatedError, UnreadableEventError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from datetime import datetime

    from handlers.ports import Codec, StoredMessage
    from infra.export.export_file import ExportReader

CHUNK_MESSAGES = 1_000
_NEAR = 1_000
"""Positions that a search for a time goes back at first, before it starts from the beginning."""


class FileLog:
    """The `ReadableLog` of an export. Every method raises ExportFileError if the file contradicts its header."""

    def __init__(self, reader: ExportReader) -> None:
        self._reader = reader
        self.first = reader.header.first
        self.last = reader.header.last

    async def last_position(self) -> int:
        """The last position."""
        return self.last

    async def first_position(self) -> int:
        """The position at which it begins."""
        return self.first

    async def get(self, position: int) -> StoredMessage | None:
        """The message at a position, or None."""
        if not self.first <= position <= self.last:
            return None
        with contextlib.closing(self._reader.messages(after=position - 1)) as messages:
            return next(messages, None)

    async def last_by_subject(self, subject: str) -> StoredMessage | None:
        """The newest message on one subject, or None."""
        newest = deque(self._reader.messages(wanted=subject.__eq__), maxlen=1)
        return newest[0] if newest else None

    async def history(self, subject_filter: str) -> list[StoredMessage]:
        """Every message whose subject matches, in order."""
        return list(self._reader.messages(wanted=matcher(subject_filter)))

    async def matching(
        self, subject_filters: Sequence[str], *, after: int, until: int
    ) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message with `after` < position <= `until` whose subject matches one of the filters, in chunks."""
        matchers = [matcher(subject_filter) for subject_filter in subject_filters]
        chunks = self._chunks(after, until, lambda subject: any(matches(subject) for matches in matchers))
        for chunk in chunks:
            yield chunk

    async def last_matching(self, subject_filter: str) -> int:
        """The position of the newest message whose subject matches, 0 if there is none."""
        newest = deque(self._reader.messages(wanted=matcher(subject_filter)), maxlen=1)
        return newest[0].position if newest else 0

    async def read(
        self, *, after: int, until: int, subject_filter: str | None = None
    ) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message with `after` < position <= `until`, of those whose subject matches, in chunks.

        Raises LogTruncatedError when the file ends before `until`.
        """
        if until <= after:
            return
        if until > self.last:
            raise LogTruncatedError(f"{self._reader.path} ends at position {self.last}, before {until}")
        for chunk in self._chunks(after, until, None if subject_filter is None else matcher(subject_filter)):
            yield chunk

    def _chunks(
        self, after: int, until: int, wanted: Callable[[str], bool] | None
    ) -> Generator[Sequence[StoredMessage], None, None]:
        chunk: list[StoredMessage] = []
        with contextlib.closing(self._reader.messages(after=after, wanted=wanted)) as messages:
            for message in messages:
                if message.position > until:
                    break
                chunk.append(message)
                if len(chunk) == CHUNK_MESSAGES:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    async def position_at(self, at: datetime, codec: Codec) -> int:
        """The position of the last event at or before a time, `first` - 1 if there is none."""
        async for chunk in self.read(after=self.first - 1, until=self.last):
            newest = _time(chunk[-1], codec)
            if newest is not None and newest <= at:
                # Times never go backwards.
                continue
            for message in chunk:
                time = _time(message, codec)
                if time is not None and time > at:
                    return message.position - 1
        return self.last

    async def time_at(self, position: int, codec: Codec) -> datetime | None:
        """The time of the nearest readable event from `position` down; None if there is none."""
        return self._last_time(position, position - _NEAR, codec) or self._last_time(position, 0, codec)

    def _last_time(self, position: int, after: int, codec: Codec) -> datetime | None:
        last: datetime | None = None
        with contextlib.closing(self._reader.messages(after=after)) as messages:
            for message in messages:
                if message.position > position:
                    break
                last = _time(message, codec) or last
        return last


def _time(message: StoredMessage, codec: Codec) -> datetime | None:
    try:
        return codec.decode(message).time
    except UnreadableEventError:
        return None


def matcher(subject_filter: str) -> Callable[[str], bool]:
    """Return a function that tells whether a subject matches a filter with the broker's wildcards."""
    wanted = subject_filter.split(".")
    rest = wanted[-1] == ">"
    fixed = [(place, token) for place, token in enumerate(wanted) if token not in {"*", ">"}]
    least, most = len(wanted), None if rest else len(wanted)

    def matches(subject: str) -> bool:
        tokens = subject.split(".")
        return (
            len(tokens) >= least
            and (most is None or len(tokens) == most)
            and all(tokens[place] == token for place, token in fixed)
        )

    return matches
