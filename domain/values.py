"""Small values that several parts of the domain share."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Priority(StrEnum):
    """How urgent a task is; the member's value is its name on the wire.

    `urgent` is read as `critical` (``Priority("urgent")``) and is never written.
    """

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Position in the order of urgency, from 0 (low) to 3 (critical)."""
        return _RANKS[self]

    @classmethod
    def _missing_(cls, value: object) -> Priority | None:
        return cls.CRITICAL if value == "urgent" else None


_RANKS: Final = {priority: rank for rank, priority in enumerate(Priority)}


class OnStall(StrEnum):
    """What becomes of a task whose holder is heard and does not advance: it is flagged, or goes back to the queue."""

    FLAG = "flag"
    REQUEUE = "requeue"


class OnSilence(StrEnum):
    """What becomes of a task whose holder fell silent: back to the queue, or kept for a person to look at."""

    REQUEUE = "requeue"
    STUCK = "stuck"
