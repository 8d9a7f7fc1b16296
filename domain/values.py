"""Small values that several parts of the domain share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from domain.limits import MAX_BUDGET


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


class Budgets(BaseModel):
    """How often attempts at a task may end unfinished, by cause, before it fails or is quarantined."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    failures: Annotated[int, Field(ge=1, le=MAX_BUDGET)] = 3
    """The n-th retryable failure fails the task."""
    expiries: Annotated[int, Field(ge=1, le=MAX_BUDGET)] = 3
    """The n-th expiry in a row without a report between quarantines it."""
    steals: Annotated[int, Field(ge=0, le=MAX_BUDGET)] = 3
    """After n steals it is not stolen again."""
    attempts: Annotated[int, Field(ge=1, le=MAX_BUDGET)] = 10
    """The n-th attempt is the last, not counting those that a release or a steal ended or that no agent was granted;
    when it ends unfinished, the task is quarantined."""
    releases: Annotated[int, Field(ge=1, le=MAX_BUDGET)] = 10
    """The n-th release by a holder quarantines it."""


PLACEHOLDERS: Final = ("task_id", "agent_id", "attempt")
"""What a template may hold in braces."""


def filled(template: str, *, task_id: str, agent_id: str, attempt: int) -> str:
    """Return a template of names, such as `custody/{task_id}-{attempt}`, with the placeholders replaced."""
    for name, value in zip(PLACEHOLDERS, (task_id, agent_id, str(attempt)), strict=True):
        template = template.replace(f"{{{name}}}", value)
    return template
