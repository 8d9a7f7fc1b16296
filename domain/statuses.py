"""The statuses of tasks, leases, agents, intakes and steal operations; `domain.lifecycles` says what follows what.

They are apart from the state machines, so that reading a command or a query imports no state machine.
"""

from __future__ import annotations

from enum import StrEnum


class TaskStatus(StrEnum):
    """The status of a task."""

    NEW = "new"
    QUEUED = "queued"
    ASSIGNED = "assigned"
    IN_PROGRESS = "in_progress"
    STUCK = "stuck"
    UNHELD = "unheld"
    """A lease has ended, and the next event of the same append says what follows; no append ends here."""
    BLOCKED = "blocked"
    QUARANTINED = "quarantined"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})
"""The statuses that nothing follows."""
REQUEUEABLE = frozenset({TaskStatus.QUARANTINED, TaskStatus.STUCK})
"""The statuses from which `requeue` brings a task back."""


class LeaseStatus(StrEnum):
    """The status of one attempt at one task by one agent."""

    NEW = "new"
    ACTIVE = "active"
    STOPPED = "stopped"
    """The task is stuck, with `on_silence: stuck`: the holder keeps the lease, and its clock is stopped."""
    COMPLETED = "completed"
    FAILED = "failed"
    RELEASED = "released"
    EXPIRED = "expired"
    STOLEN = "stolen"
    REVOKED = "revoked"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"


class AgentStatus(StrEnum):
    """The status of an agent's membership."""

    NEW = "new"
    LIVE = "live"
    LOST = "lost"
    DEREGISTERED = "deregistered"


class IntakeStatus(StrEnum):
    """Whether a pool or an agent takes new grants."""

    OPEN = "open"
    PAUSED = "paused"
    DRAINING = "draining"


class StealStatus(StrEnum):
    """The status of a steal operation."""

    NEW = "new"
    PLANNED = "planned"
    EXECUTING = "executing"
    COMPLETED = "completed"
    FAILED = "failed"
