"""A task and its lease: the records that the fold of a task's events produces.

Every event replaces its task, and most replace the lease too, so both are msgspec structs: replacing 4 of 19 fields by
name takes 0.5 µs, a quarter of what a `NamedTuple` takes. `gc=False`: a record holds only older values and JSON, so it
can never be part of a reference cycle, and the garbage collector does not have to visit a million live tasks.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from domain.events import task as ev
from domain.lifecycles import HELD, TERMINAL, TICKING, LeaseStatus, TaskStatus
from domain.task.definition import Definition
from domain.timestamps import seconds_between
from domain.values import OnSilence, Priority


class Lease(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One attempt at a task by one agent. `token` is the position of the event that granted it."""

    token: int
    agent_id: str
    attempt: int
    granted_at: datetime
    lease_s: float
    grace_s: float
    expires_at: datetime
    status: LeaseStatus = LeaseStatus.ACTIVE
    started_at: datetime | None = None
    reports: int = 0
    percent: int = 0
    note: str | None = None
    checkpoint: Any = None
    report_times_s: tuple[float, ...] = ()
    """Epoch seconds of the last reports, for the cadence."""
    last_beat_at: datetime | None = None
    """The last report or recorded renewal, or the end of an announced silence, which may lie in the future."""
    renewals: int = 0
    """Recorded renewals without a report."""
    extensions: int = 0
    escalated: bool = False
    advanced_at: datetime | None = None
    """When percent or checkpoint changed last, else when the work began; None: not since the grant. The end of an
    announced silence counts too, for nothing is expected before it."""
    stalled_at: datetime | None = None
    """When it was found stalled, until it advances."""
    stopped_s: float = 0.0
    """Seconds for which its clock was stopped because the task was stuck, with `on_silence: stuck`."""


class FormerLease(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A lease of the task that has ended."""

    token: int
    agent_id: str
    ended: LeaseStatus
    granted_at: datetime
    late_reports: int = 0
    lost: bool = True
    """Whether it was taken from the holder; False when the holder gave it up or finished."""


class Outcome(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How a task ended, or how its last attempt did."""

    event: str
    at: datetime
    actor: str
    token: int | None
    agent_id: str | None
    detail: str | None
    result: Any = None
    position: int = 0
    """Position of the event that says so."""


class Task(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The state of a task after its events."""

    task_id: str
    version: int
    position: int
    """Position of the task's last event."""
    definition: Definition
    submitted_at: datetime
    status: TaskStatus
    attempt: int
    queued_position: int
    """Position of the event that queued it last."""
    status_since: datetime
    lease: Lease | None = None
    last_lease: Lease | None = None
    """The lease that ended last, as it was then: a hand-off is made from it."""
    former: tuple[FormerLease, ...] = ()
    handoff: ev.Handoff | None = None
    failures: int = 0
    expiries: int = 0
    """Expiries in a row, without a report between them."""
    steals: int = 0
    releases: int = 0
    """Releases by its holders."""
    free_attempts: int = 0
    """Attempts that no budget counts: a release or a steal ended them, no agent was granted them, or they were before
    the budgets began anew."""
    last_stolen_at: datetime | None = None
    late_token: int | None = None
    """Token of the expired lease that may still complete the task, until the task is granted again."""
    outcome: Outcome | None = None
    submitted_position: int = 0
    """Position of its submission: the order of the backlog within a priority, also when the task is queued again."""
    question: str | None = None
    """What it was blocked with last."""
    answer: str | None = None
    """What it was unblocked with since."""
    retries: tuple[str, ...] = ()
    """The tasks that try it again, the latest last."""
    not_before: datetime | None = None
    """While it is queued: it is granted to no agent before this moment."""
    avoids: str | None = None
    """While it is queued: the agent that had it last, to which others are preferred until `avoids_until`."""
    avoids_until: datetime | None = None
    traceparent: str | None = None
    """The W3C trace context in which it was submitted."""

    @property
    def attempts_used(self) -> int:
        """The attempts that count against the budget, the present one included."""
        return self.attempt - self.free_attempts

    @property
    def failed_last_by(self) -> str | None:
        """The agent whose attempt at it was the last one that failed, or None: of the leases that are remembered."""
        failed = (each.agent_id for each in reversed(self.former) if each.ended is LeaseStatus.FAILED)
        return next(failed, None)

    @property
    def terminal(self) -> bool:
        """Whether the task has ended for good."""
        return self.status in TERMINAL

    @property
    def held(self) -> bool:
        """Whether an agent holds it."""
        return self.status in HELD

    def fits(self, status: TaskStatus | None, priority: Priority | None, label: str | None) -> bool:
        """Return whether it is what a filter names: in this status, of this priority, with this label; None: any."""
        return (
            (status is None or self.status is status)
            and (priority is None or self.definition.priority is priority)
            and (label is None or label in self.definition.labels)
        )

    @property
    def holder(self) -> str | None:
        """The agent that holds it, if one does."""
        return None if self.lease is None else self.lease.agent_id

    @property
    def token(self) -> int | None:
        """The token of the lease that it is held under, if it is held."""
        return None if self.lease is None else self.lease.token

    @property
    def held_lease(self) -> Lease:
        """The lease of a held task; raises ValueError on any other."""
        if self.lease is None:
            msg = f"task {self.task_id} is not held"
            raise ValueError(msg)
        return self.lease

    @property
    def waits_since(self) -> datetime:
        """Since when a queued task waits for an agent: it was queued, and its time had come."""
        since = self.status_since
        return since if self.not_before is None or self.not_before < since else self.not_before

    @property
    def ticking(self) -> bool:
        """Whether an agent holds it and the lease's clock runs: in `stuck` too, unless with `on_silence: stuck`."""
        if self.status is TaskStatus.STUCK:
            return self.definition.on_silence is not OnSilence.STUCK
        return self.status in TICKING


def restart_clock(task: Task, lease: Lease, now: datetime) -> Lease:
    """Return the lease of a stuck task with its clock running from now on, if it was stopped."""
    if lease.status is not LeaseStatus.STOPPED:
        return lease
    return msgspec.structs.replace(lease, stopped_s=lease.stopped_s + seconds_between(task.status_since, now))
