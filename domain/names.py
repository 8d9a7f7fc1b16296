"""What may be the name of a pool, an agent, a session or a steal operation, and what the id of a task."""

from __future__ import annotations

import re
from typing import Final

from domain.limits import NAME_PATTERN, TASK_ID_PATTERN

NAME_IN_WORDS: Final = "1 to 64 letters, digits, _ or -"
TASK_ID_IN_WORDS: Final = "1 to 128 printable ASCII characters without blanks"

_NAME = re.compile(NAME_PATTERN)
_TASK_ID = re.compile(TASK_ID_PATTERN)


def is_name(text: str) -> bool:
    """Return whether a text may be a name."""
    return _NAME.fullmatch(text) is not None


def is_task_id(text: str) -> bool:
    """Return whether a text may be a task's id."""
    return _TASK_ID.fullmatch(text) is not None
