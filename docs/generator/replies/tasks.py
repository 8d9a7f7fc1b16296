"""Results about tasks: what became of them by a command, and what the queries show."""

from __future__ import annotations

from typing import Any, Literal

from docs.generator.replies.leases import FormerLease, LeaseState
from docs.generator.replies.result import Count, Moment, Percent, Position, Result, Seconds, Token
from domain.events.task import Handoff
from domain.json_values import Name, TaskId
from domain.policies.lease import LeasePolicy
from domain.policies.retry import RetryPolicy
from domain.statuses import TaskStatus
from domain.values import Budgets, OnSilence, OnStall, Priority

Was = Literal["new", "known", "ended"]
"""Whether a submitted task is new, was known before, or was known and has ended."""


class Fate(Result):
    """What has become of a task by a command."""

    task_id: TaskId
    """The task."""
    status: TaskStatus
    """Its status now."""
    attempt: Count
    """Which attempt it is in or waits for, from 1."""


class TaskSubmitted(Result):
    """A task that is in the pool."""

    task_id: TaskId
    """The task."""
    was: Was
    """`new`, `known`, or `ended` for a known task that has ended."""


class TasksSubmitted(Result):
    """The tasks of one command, in its order."""

    tasks: list[TaskSubmitted]
    """Each task."""


class TaskRetried(Result):
    """A task that tries an ended one again."""

    task_id: TaskId
    """The new task."""
    retry_of: TaskId
    """The one that it tries again."""
    was: Was
    """`new`, `known`, or `ended` for a known task that has ended."""


class TaskStatusNow(Result):
    """A task and its status after a command."""

    task_id: TaskId
    """The task."""
    status: TaskStatus
    """Its status now."""


class TasksSelected(Result):
    """The tasks that fit a command's filter."""

    task_ids: list[TaskId]
    """Those that were changed; with `dry_run`, those that one command would change."""
    count: Count
    """How many; with `dry_run`, of all that fit."""
    more: bool
    """Whether others fit."""


class TaskNamed(Result):
    """The task that a command was about."""

    task_id: TaskId
    """The task."""


class TaskRow(Result):
    """A task as a row of a list."""

    task_id: TaskId
    """The task."""
    status: TaskStatus
    """Its status."""
    attempt: Count
    """Which attempt it is in or waits for, from 1."""
    title: str
    """What people call it."""
    priority: Priority
    """How urgent it is."""
    labels: list[str]
    """Its labels."""
    required_capabilities: list[str]
    """What an agent must be able to do to be granted it."""
    deadline: Moment | None
    """When it must be done, or null."""
    not_before: Moment | None
    """Before this it is granted to no agent; null: no such time."""
    submitted_at: Moment
    """When it was submitted."""
    status_since: Moment
    """Since when it has this status."""
    agent_id: Name | None
    """The holder, or null."""
    token: Token | None
    """The lease's fencing token, or null."""
    percent: Percent | None
    """Progress in percent; null if it is not held."""
    stalled: bool | None
    """Whether the holder is heard and does not advance; null if it is not held."""


class TaskOutcome(Result):
    """How a task ended, or how its last attempt did."""

    event: str
    """The name of the event that says so."""
    at: Moment
    """When."""
    by: str
    """The actor."""
    token: Token | None
    """The lease that ended with it, or null."""
    agent_id: Name | None
    """Who held it, or null."""
    detail: str | None
    """The error or the reason, in words."""
    result: Any
    """What a completion returned; null for none."""


class TaskDocument(TaskRow):
    """A task, whole."""

    payload: Any
    """What is to be done."""
    estimated_hours: float | None
    """How long it may take, in hours, or null."""
    lease_policy: LeasePolicy
    """The rules of its leases."""
    on_silence: OnSilence
    """What becomes of it when its holder falls silent."""
    budgets: Budgets
    """How often attempts may end unfinished, by cause."""
    stall_s: Seconds | None
    """Seconds without a change after which it is stalled; null: never."""
    on_stall: OnStall
    """What becomes of it then."""
    retry: RetryPolicy | None
    """How long it waits after a failure; null: as in the pool's settings."""
    failures: Count
    """Failures so far that count against its budget."""
    expiries: Count
    """Expiries in a row so far."""
    steals: Count
    """Steals so far."""
    releases: Count
    """Releases so far."""
    attempts_used: Count
    """Attempts that count against the budget, the one that is held or comes next included."""
    retry_of: TaskId | None
    """The ended task that it tries again, or null."""
    retries: list[TaskId]
    """The tasks that try it again, the latest ones."""
    question: str | None
    """What it was blocked with, or null."""
    answer: str | None
    """What it was unblocked with, or null."""
    traceparent: str | None
    """The trace context in which it was submitted, or null."""
    handoff: Handoff | None
    """What the next holder is told, or null."""
    lease: LeaseState | None
    """The lease that it is held under, or null."""
    former_leases: list[FormerLease]
    """The latest leases that have ended."""
    outcome: TaskOutcome | None
    """How it ended, or how its last attempt did; null if none has."""
    version: Count
    """How many events it has had."""
    position: Position
    """The position of the last one."""


class NextStep(Result):
    """What happens next to a task."""

    at: Moment | None
    """When; null: nothing sets a time for it."""
    what: str
    """What happens."""


class Candidate(Result):
    """An agent, and whether it could claim a queued task."""

    agent_id: Name
    """The agent."""
    can: bool
    """Whether it could."""
    why: str
    """Its free capacity, or the obstacles."""


class TaskExplained(Result):
    """Where a task is, why, and what happens next, in sentences for people."""

    task_id: TaskId
    """The task."""
    status: TaskStatus
    """Its status."""
    headline: str
    """Where it is."""
    why: list[str]
    """Why."""
    next: list[NextStep]
    """What happens next, in the order of time; steps without a time come last."""
    budgets: list[str]
    """What is left of its budgets."""
    candidates: list[Candidate]
    """The agents that could claim it if it is queued, and why the others cannot; empty in a large pool."""


class TasksPage(Result):
    """A page of tasks."""

    tasks: list[TaskRow]
    """The rows."""
    next: str | None
    """The `after` of the following page; null: this is the last one."""
    all_ended: bool
    """Whether no page with ended tasks follows."""


class BacklogPage(Result):
    """A page of the queued tasks, in the order of granting."""

    tasks: list[TaskRow]
    """The rows."""
    next: str | None
    """The `after` of the following page; null: this is the last one."""
    queued: Count
    """How many tasks are queued."""
    delayed: Count
    """How many of them wait for their time."""
    by_priority: dict[Priority, Count]
    """How many are queued, by priority."""
    oldest_s: Seconds | None
    """Seconds since the longest queued one was queued; null if none is."""
