"""Evidence in a worktree that excuses a silent agent. Source of the rule: the adaptive assignment leases.

An agent in the middle of a merge conflict is quiet for a good reason. This module parses git's output; running git
is the infrastructure's part.
"""

from __future__ import annotations

from typing import Final

UNRESOLVED: Final = frozenset({"UU", "AA", "DD", "DU", "UD", "AU", "UA"})
"""The two-letter states of an unmerged path."""

EXTENSION_S: Final = 300.0
"""Seconds that an extension lasts, counted from the moment it is granted."""

MAX_EXTENSIONS: Final = 2
"""Extensions per lease."""

_RENAMED_OR_COPIED: Final = frozenset("RC")
_PATH_AT: Final = 3


def conflicted_paths(porcelain: bytes | str) -> tuple[str, ...]:
    """Return the paths with unresolved conflicts, in the order git lists them.

    `porcelain` is the output of ``git status --porcelain=v1 -z``: entries ``XY path`` that end in NUL; a rename
    or a copy is followed by a second entry, its former path, which has no state of its own. The paths are for
    people and records to read: bytes that are not UTF-8 become backslash escapes. Anything too short to be an
    entry is skipped.
    """
    text = porcelain.decode("utf-8", "backslashreplace") if isinstance(porcelain, bytes) else porcelain
    paths: list[str] = []
    entries = iter(text.split("\0"))
    for entry in entries:
        state, path = entry[:2], entry[_PATH_AT:]
        if not _RENAMED_OR_COPIED.isdisjoint(state):
            next(entries, None)
        elif state in UNRESOLVED and path:
            paths.append(path)
    return tuple(paths)
