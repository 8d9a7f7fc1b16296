"""What may be the name of a pool, an agent, a session or a steal operation, and what the id of a task."""

from __future__ import annotations

import re

from domain.limits import NAME_PATTERN, TASK_ID_PATTERN

_NAME = re.compile(NAME_PATTERN)
_TASK_ID = re.compile(TASK_ID_PATTERN)


def is_name(text: str) -> bool:
    """Return whether a text may be a name."""
    return _NAME.fullmatch(text) is not None


def is_task_id(text: str) -> bool:
    """Return whether a text may be a task's id."""
    return _TASK_ID.fullmatch(text) is not None
