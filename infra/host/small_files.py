"""Reading small files: keys and credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_FILE_BYTES = 64 * 1024


def read_small(path: Path, failed: type[Exception]) -> bytes:
    """Return a file's content, at most `LONGEST_FILE_BYTES` of it; raises `failed` with a message of one line."""
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FILE_BYTES)
    except OSError as error:
        raise failed(f"cannot read {path}: {error.strerror}") from None
