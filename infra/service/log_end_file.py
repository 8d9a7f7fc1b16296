"""The end of a pool's log in the data directory: it outlives the broker's whole store."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from handlers.log_end import LogEndStoreError
from infra.broker.data_dir import write_private
from infra.host.small_files import read_own

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)


def read_end(path: Path) -> bytes | None:
    """Return what a file remembers, None if there is none, or if it cannot be read, which is a warning."""
    try:
        return read_own(path, LogEndStoreError)
    except FileNotFoundError:
        return None
    except (LogEndStoreError, OSError) as error:
        why = f"cannot read {path}: {error.strerror}" if isinstance(error, OSError) else error
        _LOG.warning("%s, so what it remembers of the log's end is not used", why)
        return None


class LogEndFile:
    """The `LogEndStore` of one pool in a file."""

    def __init__(self, directory: Path, pool: str) -> None:
        self._path = directory / f"log-end-{pool}.json"
        self.name = str(self._path)

    async def read(self) -> bytes | None:
        """Return what was stored last, None if nothing was, or if it cannot be read, which is a warning."""
        return read_end(self._path)

    async def write(self, document: bytes) -> None:
        """Replace what is stored. Raises LogEndStoreError."""
        try:
            await asyncio.to_thread(self._write, document.decode())
        except OSError as error:
            raise LogEndStoreError(error.strerror or str(error)) from error

    def _write(self, text: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._path, text)
