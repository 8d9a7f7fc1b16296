"""Reading small files: keys, credentials, addresses. None is believed that another user could have written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_FILE_BYTES = 64 * 1024
ROOT = 0
_WRITABLE_BY_ALL = 0o002


def read_small(path: Path, failed: type[Exception]) -> bytes:
    """Return a file's content, at most `LONGEST_FILE_BYTES` of it; raises `failed` with a message of one line."""
    try:
        return read_own(path, failed)
    except OSError as error:
        raise failed(f"cannot read {path}: {error.strerror}") from None


def read_own(path: Path, failed: type[Exception]) -> bytes:
    """Return the content of a file of this user's or of root's, at most `LONGEST_FILE_BYTES` of it.

    Raises:
        OSError: it cannot be read.
        failed: another user could have written it.
    """
    with path.open("rb") as file:
        check_owner(path, os.fstat(file.fileno()), failed)
        return file.read(LONGEST_FILE_BYTES)


def check_owner(path: Path, found: os.stat_result, failed: type[Exception]) -> None:
    """Raise `failed` if another user could have written the file. On Windows, which has no such modes, never."""
    if os.name == "nt":
        return
    fault = owner_fault(found.st_mode, found.st_uid, os.geteuid())
    if fault is not None:
        raise failed(f"{path} is not used: {fault}")


def owner_fault(mode: int, owner: int, user: int) -> str | None:
    """Return what speaks against believing a file that a user reads; None if nothing does."""
    if owner not in {user, ROOT}:
        return f"it belongs to another user (uid {owner}, not {user})"
    return "every user may write to it" if mode & _WRITABLE_BY_ALL else None
