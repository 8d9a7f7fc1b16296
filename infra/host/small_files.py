"""Reading small files: keys, credentials, addresses. None is believed that another user could have written.

A file with a secret is refused, too, if other users can read it.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    _Check = Callable[[Path, os.stat_result, type[Exception]], None]

LONGEST_FILE_BYTES = 64 * 1024
ROOT = 0
_PRIVATE_KEY = b"PRIVATE KEY-----"
_WRITABLE_BY_ALL = 0o002
_OF_OTHERS = 0o077
_WRITABLE_BY_OTHERS = 0o022


def read_small(path: Path, failed: type[Exception]) -> bytes:
    """Return a file's content, at most `LONGEST_FILE_BYTES` of it; raises `failed` with a message of one line."""
    return _read_or_fail(read_own, path, failed)


def read_own(path: Path, failed: type[Exception]) -> bytes:
    """Return the content of a file of this user's or of root's, at most `LONGEST_FILE_BYTES` of it.

    Raises:
        OSError: it cannot be read.
        failed: another user could have written it.
    """
    return _read_checked(path, failed, check_owner)


def read_secret(path: Path, failed: type[Exception]) -> bytes:
    """Return the content of a file with a secret; raises `failed` with a message of one line."""
    return _read_or_fail(read_own_secret, path, failed)


def read_pem(path: Path, failed: type[Exception]) -> bytes:
    """Return the content of a PEM file; one with a private key is a file with a secret, whatever else it has.

    Raises `failed` with a message of one line.
    """
    content = read_small(path, failed)
    return read_secret(path, failed) if _PRIVATE_KEY in content else content


def read_own_secret(path: Path, failed: type[Exception]) -> bytes:
    """Return the content of a file with a secret, at most `LONGEST_FILE_BYTES` of it.

    Raises:
        OSError: it cannot be read.
        failed: another user could have written it, or can read it.
    """
    return _read_checked(path, failed, check_secret)


def check_owner(path: Path, found: os.stat_result, failed: type[Exception]) -> None:
    """Raise `failed` if another user could have written the file. On Windows, which has no such modes, never."""
    if os.name == "nt":
        return
    fault = owner_fault(found.st_mode, found.st_uid, os.geteuid())
    if fault is not None:
        raise failed(f"{path} is not used: {fault}")


def check_secret(path: Path, found: os.stat_result, failed: type[Exception]) -> None:
    """Raise `failed` if another user could have written the file, or can read it. On Windows never."""
    if os.name == "nt":
        return
    # A pipe, such as a shell's `<(...)`, cannot be opened by others.
    mode = found.st_mode if stat.S_ISREG(found.st_mode) else 0
    fault = secret_fault(mode, found.st_uid, os.geteuid())
    if fault is not None:
        said = fault.replace("{path}", str(path))
        raise failed(f"{path} is not used: {said}")


def owner_fault(mode: int, owner: int, user: int) -> str | None:
    """Return what speaks against believing a file that a user reads; None if nothing does."""
    return _foreign(owner, user) or ("every user may write to it" if mode & _WRITABLE_BY_ALL else None)


def secret_fault(mode: int, owner: int, user: int) -> str | None:
    """Return what speaks against using a file with a secret, with `{path}` for the file; None if nothing does.

    As `ssh` has it for keys: what belongs to the user is for the user alone. Root's files may be read by others, since
    a service reads what root, or what runs its container, put there (`/run/secrets`), but not be written by them.
    """
    if owner == user and mode & _OF_OTHERS:
        return "other users may read or write it: chmod 600 {path}"
    if owner != user and mode & _WRITABLE_BY_OTHERS:
        return _foreign(owner, user) or "others than root may write to it: chmod go-w {path}"
    return _foreign(owner, user)


def _read_checked(path: Path, failed: type[Exception], check: _Check) -> bytes:
    with path.open("rb") as file:
        # Of the open file: the name may lead to another one a moment later.
        check(path, os.fstat(file.fileno()), failed)
        return file.read(LONGEST_FILE_BYTES)


def _read_or_fail(read: Callable[[Path, type[Exception]], bytes], path: Path, failed: type[Exception]) -> bytes:
    try:
        return read(path, failed)
    except OSError as error:
        raise failed(f"cannot read {path}: {error.strerror}") from None


def _foreign(owner: int, user: int) -> str | None:
    return None if owner in {user, ROOT} else f"it belongs to another user (uid {owner}, not {user})"
