"""A digest of the source that folds events into state: a snapshot is valid only for the code that made it."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import domain

ROOMS = ("domain", "projections/state", "handlers/ports.py", "handlers/memory", "infra/codec.py")
"""The code that determines the result of a fold: events and entities, the state in memory, the subjects of events, the
rebuild, the decoder."""
_DIGITS = 16


@functools.cache
def fold_build() -> str:
    """Return the digest of the running code; the same for the same source, wherever it is installed."""
    return digest_of_rooms(Path(next(iter(domain.__path__))).parent)


def digest_of_rooms(root: Path) -> str:
    """Return the digest of every Python file of the rooms below a directory, with its relative path.

    Raises FileNotFoundError for a room without a Python file: a renamed room would drop out of the digest unnoticed.
    """
    digest = hashlib.sha256()
    for room in ROOMS:
        place = root / room
        paths = [place] if place.is_file() else sorted(place.rglob("*.py"))
        if not paths:
            raise FileNotFoundError(f"no source file in {place}")
        for path in paths:
            digest.update(f"{path.relative_to(root).as_posix()}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:_DIGITS]
