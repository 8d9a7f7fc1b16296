"""Results about leases: what a holder is told, and the rows of `query.leases`."""

from __future__ import annotations

from typing import Any, Literal

from docs.generator.replies.result import Count, Moment, Percent, Result, Seconds, Token
from domain.events.task import Directive, Handoff
from domain.json_values import Name, TaskId
from domain.statuses import LeaseStatus, TaskStatus
from domain.values import Priority


class OwnReport(Result):
    """What was reported under a lease, for a process that goes on with it."""

    percent: Percent
    """Progress in percent."""
    note: str | None
    """The last report's note."""
    checkpoint: Any
    """The last checkpoint; null for none."""


class Lease(Result):
    """A lease, as its holder is told of it."""

    task_id: TaskId
    """The task."""
    token: Token
    """The fencing token: the position of the event that granted it. Name it in every command on the task."""
    attempt: Count
    """Which attempt at the task this is."""
    expires_at: Moment
    """When it runs out unless it is renewed."""
    grace_s: Seconds
    """Seconds after that in which the holder is still heard."""
    deadline: Moment | None
    """When the task must be done, or null."""
    title: str
    """What people call the task."""
    payload: Any
    """What is to be done."""
    labels: list[str]
    """Its labels."""
    handoff: Handoff | None
    """What the attempts before leave behind, or null; see [Handoff](events.md#handoff)."""
    lease_s: Seconds
    """Length of the current term, in seconds."""
    priority: Priority
    """How urgent the task is."""
    status: TaskStatus
    """The task's status."""
    traceparent: str | None
    """The [trace context](contract.md#traces) in which the task was submitted, or null."""
    required_capabilities: list[str]
    """What its holder must be able to do."""
    failures: Count
    """How many attempts failed before."""
    reported: OwnReport | None
    """What was reported under this lease (`percent`, `note`, `checkpoint`); null if nothing was."""


class Leases(Result):
    """What a claim was granted; empty if there is no work."""

    leases: list[Lease]
    """The leases, the most urgent task first."""


class Terms(Result):
    """A lease's terms after a command of its holder."""

    expires_at: Moment
    """When the lease runs out unless it is renewed."""
    grace_s: Seconds
    """Seconds after that in which the holder is still heard."""
    directive: Directive
    """What the holder is asked to do with the task."""


class Holding(Result):
    """A lease that an agent holds, in short; `agent.lease` has all of it."""

    task_id: TaskId
    """The task."""
    token: Token
    """The lease's fencing token."""
    expires_at: Moment
    """When it runs out unless it is renewed."""
    status: TaskStatus
    """The task's status."""


class DirectiveOnTask(Result):
    """What an agent is asked to do with a task."""

    task_id: TaskId
    """The task."""
    do: Literal["stop", "hand_over"]
    """`stop`: the task is lost or too late. `hand_over`: release it soon."""
    reason: str
    """Why, for people."""
    token: Token | None = None
    """The lease that it is about; absent: the one that the agent holds."""


class Holdings(Result):
    """What an agent holds, and what it is asked to do."""

    leases: list[Holding]
    """What it holds."""
    directives: list[DirectiveOnTask]
    """What it is asked to do, those to stop first."""


class LeaseRow(Result):
    """A lease that is held, as a row of a list."""

    task_id: TaskId
    """The task."""
    token: Token
    """The lease's fencing token."""
    agent_id: Name
    """The holder."""
    attempt: Count
    """Which attempt at the task this is."""
    task_status: TaskStatus
    """The task's status."""
    status: Literal["active", "expiring_soon", "expired", "stopped"]
    """`expired` means past expiry and not yet judged, `stopped` stuck on a stopped clock."""
    granted_at: Moment
    """When it was granted."""
    expires_at: Moment
    """When it runs out unless it is renewed."""
    grace_s: Seconds
    """Seconds after that in which the holder is still heard."""
    grace_until: Moment
    """When they are over."""
    left_s: float
    """Seconds until it runs out; negative after that."""
    reports: Count
    """Reports on it."""
    percent: Percent
    """Progress in percent."""
    last_beat_at: Moment | None
    """The last report or recorded renewal; null for none yet."""
    stalled: bool
    """Whether the holder is heard and does not advance."""
    stalled_at: Moment | None
    """Since when; null if it is not stalled."""


class LeasesPage(Result):
    """A page of the leases that are held."""

    leases: list[LeaseRow]
    """The rows."""
    next: str | None
    """The `after` of the following page; null: this is the last one."""


class LeaseState(Result):
    """The lease that a task is held under."""

    token: Token
    """The fencing token."""
    agent_id: Name
    """The holder."""
    attempt: Count
    """Which attempt at the task this is."""
    status: LeaseStatus
    """The lease's status."""
    granted_at: Moment
    """When it was granted."""
    started_at: Moment | None
    """When the work began; null if it did not yet."""
    expires_at: Moment
    """When it runs out unless it is renewed."""
    lease_s: Seconds
    """Length of the current term, in seconds."""
    grace_s: Seconds
    """Seconds after `expires_at` in which the holder is still heard."""
    reports: Count
    """Reports on it."""
    renewals: Count
    """Renewals that are on record, reports not included."""
    percent: Percent
    """Progress in percent."""
    note: str | None
    """The last report's note."""
    checkpoint: Any
    """The last checkpoint; null for none."""
    last_beat_at: Moment | None
    """The last report or recorded renewal; null for none yet."""
    extensions: Count
    """Extensions on a probe's evidence."""
    escalated: bool
    """Whether it has had `max_renewals` reports."""
    advanced_at: Moment | None
    """When percent or checkpoint changed last."""
    stalled: bool
    """Whether the holder is heard and does not advance."""
    stalled_at: Moment | None
    """Since when; null if it is not stalled."""


class FormerLease(Result):
    """A lease of a task that has ended."""

    token: Token
    """The fencing token."""
    agent_id: Name
    """Who held it."""
    ended: LeaseStatus
    """How it ended."""
    granted_at: Moment
    """When it was granted."""
    late_reports: Count
    """Reports under it after it was lost that are on record."""
