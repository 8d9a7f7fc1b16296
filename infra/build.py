"""Which code folds events into state: what one build has folded, another may fold otherwise."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import domain
import handlers
import projections

_PARTS = (
    (domain, "**/*.py"),
    (projections, "state.py"),
    (projections, "statistics.py"),
    (projections, "directives.py"),
    (projections, "snapshots.py"),
    (handlers, "memory.py"),
    (handlers, "outcomes.py"),
    (handlers, "snapshots.py"),
)
_DIGITS = 16


@functools.cache
def fold_build() -> str:
    """Return a digest of the source that folds; the same for the same source, wherever it is."""
    digest = hashlib.sha256()
    for package, pattern in _PARTS:
        root = Path(next(iter(package.__path__)))
        for path in sorted(root.glob(pattern)):
            digest.update(f"{package.__name__}/{path.relative_to(root).as_posix()}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:_DIGITS]
