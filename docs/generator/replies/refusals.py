"""What a refusal says besides its code: a model of each code's `details`, and what the code means."""

from __future__ import annotations

from typing import Final

from docs.generator.replies.agents import AgentNamed
from docs.generator.replies.result import Count, Moment, Nothing, Position, Result, Seconds, Token
from docs.generator.replies.tasks import TaskNamed
from domain.errors import RefusalCode
from domain.json_values import Name, TaskId
from domain.statuses import AgentStatus, IntakeStatus, TaskStatus

E = RefusalCode

MEANINGS: Final = {
    E.INVALID_COMMAND: "Not JSON, an unknown verb or field, a missing or ill-typed one, out of range, or too large. "
    "`details.fields` lists each.",
    E.COMMAND_CONFLICT: "The `command_id` came before with another body, and that command stands. Choose a new id.",
    E.UNKNOWN_AGENT: "The agent never registered, or has deregistered. Register first.",
    E.STALE_SESSION: "Another process of the agent has registered since, or this one never did. Stop working on what "
    "it held, or register.",
    E.UNKNOWN_TASK: "No such task was ever submitted to this pool.",
    E.TASK_EXISTS: "The id is taken by another definition. Choose another id.",
    E.TASK_FINISHED: "The task ended for good; `details` says how, when and by whom.",
    E.STALE_TOKEN: "The lease is not the task's current one. Stop working on it; `details` names state and holder.",
    E.NOT_HOLDER: "The token is current, but another agent's.",
    E.ILLEGAL_TRANSITION: "The lifecycle does not allow it from here; `details` has the state and what it allows.",
    E.PAUSED: "The pool or the agent gets no new grants. Everything else goes on.",
    E.AT_CAPACITY: "The agent holds as many leases as it may.",
    E.OVERLOADED: "The queue is full, or the service is stopping. Try again.",
    E.NOT_WRITER: "Another service leads the pool now, and this one ends. Try again with the same `command_id`.",
    E.UNAVAILABLE: "The broker did not confirm in time: the outcome is unknown. Try again with the same `command_id`.",
}


class InvalidField(Result):
    """A field that does not fit."""

    field: str
    """Its path, such as `tasks.0.title`; `(body)` for the whole."""
    message: str
    """What is wrong with it."""


class InvalidCommand(Result):
    """Which fields do not fit."""

    fields: list[InvalidField]
    """The fields, at most 50."""


class CommandConflict(Result):
    """Which id came before with another body."""

    command_id: str
    """The id."""


class TaskExists(Result):
    """The task whose id is taken."""

    task_id: TaskId
    """The task."""
    status: TaskStatus | None = None
    """Its status; absent where several names were tried."""


class TaskFinished(Result):
    """How a task ended."""

    task_id: TaskId
    """The task."""
    status: TaskStatus
    """Its status, a final one."""
    ended_at: Moment | None = None
    """When it ended."""
    by: str | None = None
    """The actor that ended it."""
    token: Token | None = None
    """The lease that ended with it, or null."""
    agent_id: Name | None = None
    """Who held it, or null."""
    detail: str | None = None
    """The error or the reason, in words."""


class TaskSituation(Result):
    """Where a task is, and who holds it."""

    task_id: TaskId
    """The task."""
    status: TaskStatus
    """Its status."""
    attempt: Count
    """Which attempt it is in or waits for, from 1."""
    holder: Name | None
    """Who holds it now, or null."""
    token: Token | None
    """The present lease's fencing token, or null."""
    held_since: Moment | None
    """Since when, or null."""


class IllegalTransition(Result):
    """What the lifecycle allows in place of what was asked."""

    task_id: TaskId | None = None
    """The task; absent where a steal found none to move."""
    state: TaskStatus
    """Its status."""
    event: str
    """The event that is not allowed."""
    allowed: list[str]
    """The events that are."""
    not_before: Moment | None = None
    """The task is granted to no agent before this, if that is the reason."""


class Paused(Result):
    """What is paused: the pool or an agent."""

    pool: IntakeStatus | None = None
    """The pool's intake, if the pool is paused."""
    agent_id: Name | None = None
    """The agent that is paused, draining or lost."""
    agent: IntakeStatus | AgentStatus | None = None
    """Which of these it is."""


class AtCapacity(Result):
    """Who has no room, or for what no agent has."""

    agent_id: Name | None = None
    """The agent without room; absent: no agent has any for the task."""
    held: Count | None = None
    """How many leases it holds."""
    capacity: Count | None = None
    """How many it may hold."""
    task_id: TaskId | None = None
    """The task that no agent has room for."""
    required_capabilities: list[str] | None = None
    """What it requires."""


class Unavailable(Result):
    """What is known without the broker; only `query.health` says it."""

    leader: str | None = None
    """The service that answers."""
    position: Position | None = None
    """The last position that the broker has confirmed."""
    unconfirmed_s: Seconds | None = None
    """Seconds for which it has not confirmed an append."""


DETAILS: Final[dict[RefusalCode, type[Result]]] = {
    E.INVALID_COMMAND: InvalidCommand,
    E.COMMAND_CONFLICT: CommandConflict,
    E.UNKNOWN_AGENT: AgentNamed,
    E.STALE_SESSION: AgentNamed,
    E.UNKNOWN_TASK: TaskNamed,
    E.TASK_EXISTS: TaskExists,
    E.TASK_FINISHED: TaskFinished,
    E.STALE_TOKEN: TaskSituation,
    E.NOT_HOLDER: TaskSituation,
    E.ILLEGAL_TRANSITION: IllegalTransition,
    E.PAUSED: Paused,
    E.AT_CAPACITY: AtCapacity,
    E.OVERLOADED: Nothing,
    E.NOT_WRITER: Nothing,
    E.UNAVAILABLE: Unavailable,
}
