"""Reading a file with a secret, which is refused if another user could have written it or can read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from custody_client.errors import AddressError

_ROOT = 0
_OF_OTHERS, _WRITABLE_BY_OTHERS = 0o077, 0o022


def read_secret(file: Path) -> bytes:
    """Return the content of a file with a secret.

    As `ssh` has it for keys: what belongs to the user is for the user alone. Root's files may be read by others, since
    a container finds what it was given under `/run/secrets` so. Raises OSError, AddressError.
    """
    with file.open("rb") as opened:
        found = os.fstat(opened.fileno())
        # A pipe, such as a shell's `<(...)`, cannot be opened by others; Windows has no such modes.
        if os.name != "nt" and stat.S_ISREG(found.st_mode):
            fault = _fault(found.st_mode, found.st_uid, os.geteuid())
            if fault is not None:
                raise AddressError(f"the credentials in {file} are not used: {fault}")
        return opened.read()


def _fault(mode: int, owner: int, user: int) -> str | None:
    if owner not in {user, _ROOT}:
        return f"the file belongs to another user (uid {owner}, not {user})"
    if owner == user and mode & _OF_OTHERS:
        return "other users may read or write the file, so make it yours alone (chmod 600)"
    if owner != user and mode & _WRITABLE_BY_OTHERS:
        return "others than root may write to the file, so have that ended (chmod go-w)"
    return None
