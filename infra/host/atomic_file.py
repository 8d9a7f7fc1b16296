"""Writing a file so that it appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from infra.host.disk import NOT_WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FileWriteError(Exception):
    """A file cannot be written; the message is one line."""


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a path to write to in the directory of `path`; renamed to `path` if the block succeeds, else deleted.

    Raises:
        FileWriteError: the directory does not exist, cannot be written to, or has no room.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.touch()
    except OSError as error:
        raise FileWriteError(f"cannot write {path}: {error.strerror}") from None
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno not in NOT_WRITTEN:
            raise
        raise FileWriteError(f"cannot write {path}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
