"""The end of a pool's log in the data directory at every append: it outlives both processes, not a power failure."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from handlers.log_end import LogEnd, LogEndStoreError, decode, encode
from infra.host.small_files import read_small

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)
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
        """What was written last; None: nothing yet."""
        self._fd: int | None = None
        self.name = str(self._path)

    async def read(self) -> bytes | None:
        """Return what was stored last, None if nothing was, or if it cannot be read, which is a warning."""
        try:
            return read_small(self._path, LogEndStoreError) if self._path.exists() else None
        except LogEndStoreError as error:
            _LOG.warning("%s, so what it remembers of the log's end is not used", error)
            return None

    async def write(self, document: bytes) -> None:
        """Replace what is stored. Raises LogEndStoreError."""
        try:
            self._put(document)
        except OSError as error:
            raise LogEndStoreError(error.strerror or str(error)) from error
        self._end = decode(document, self._pool)

    def note(self, position: int, tail_hash: str | None) -> None:
        """Remember an acknowledged position and the hash there; never waits for the disk, and never raises."""
        if self._end is None or tail_hash is None:
            return
        ahead = self._end.may_reach - self._end.position
        document = encode(LogEnd(self._end.log_id, position, tail_hash, position + ahead), self._pool)
        # A write that fails is said by the next one of `write`.
        with contextlib.suppress(OSError):
            self._put(document)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._fd is not None:
            os.close(self._fd)
        self._fd = self._end = None

    def _put(self, document: bytes) -> None:
        if self._fd is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._fd, document.ljust(_SIZE_BYTES), 0)
