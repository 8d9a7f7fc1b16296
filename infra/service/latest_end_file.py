"""The end of a pool's log in the data directory at every append: it outlives both processes, not a power failure."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from handlers.log_end import LogEnd, LogEndStoreError, decode, encode
from infra.service.log_end_file import read_end

if TYPE_CHECKING:
    from pathlib import Path

_SIZE_BYTES = 512
"""Size of the file: each document is padded to it, so that one write in place replaces the last."""


class LatestEndFile:
    """A `LogEndStore` that also takes every acknowledged position, at the cost of a write to the page cache.

    What is written there is not forced to the disk. After a power failure it may be older than what is.
    """

    def __init__(self, directory: Path, pool: str) -> None:
        self._path = directory / f"log-end-{pool}.latest.json"
        self._pool = pool
        self._end: LogEnd | None = None
        """What was written last, or noted since; None: nothing yet."""
        self._fd: int | None = None
        self.name = str(self._path)

    async def read(self) -> bytes | None:
        """Return what was stored last, None if nothing was, or if it cannot be read, which is a warning."""
        return read_end(self._path)

    async def write(self, document: bytes) -> None:
        """Replace what is stored; a position that was noted since the document's stays. Raises LogEndStoreError."""
        end, noted = decode(document, self._pool), self._end
        if noted is not None and noted.log_id == end.log_id and noted.position > end.position:
            end = noted._replace(may_reach=noted.position + end.may_reach - end.position)
        try:
            self._put(end)
        except OSError as error:
            raise LogEndStoreError(error.strerror or str(error)) from error
        self._end = end

    def note(self, position: int, tail_hash: str | None) -> None:
        """Remember an acknowledged position and the hash there; never waits for the disk, and never raises."""
        if self._end is None or tail_hash is None:
            return
        ahead = self._end.may_reach - self._end.position
        self._end = LogEnd(self._end.log_id, position, tail_hash, position + ahead)
        # A write that fails is said by the next one of `write`.
        with contextlib.suppress(OSError):
            self._put(self._end)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._end = None

    def _put(self, end: LogEnd) -> None:
        if self._fd is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._fd, encode(end, self._pool).ljust(_SIZE_BYTES), 0)
