"""Results about agents and steals."""

from __future__ import annotations

from docs.generator.replies.result import Count, Moment, Percent, Result
from domain.events.steal import Planned, StealCompleted, StealFailed
from domain.json_values import Name, Session, TaskId
from domain.policies.load_balancing import LoadStatus
from domain.statuses import AgentStatus, IntakeStatus, StealStatus


class AgentNamed(Result):
    """The agent that a command was about."""

    agent_id: Name
    """The agent."""


class AgentLeft(Result):
    """What an agent left behind."""

    released: Count
    """How many tasks it held."""


class AgentsForgotten(Result):
    """The lost agents that were deregistered."""

    agent_ids: list[Name]
    """The agents."""
    more: bool
    """Whether there may be others."""


class TasksStolen(Result):
    """A steal operation that was carried out."""

    operation_id: Name
    """The steal operation."""
    task_ids: list[TaskId]
    """The tasks that moved."""


class LoadShown(Result):
    """Percent of an agent's machine in use, as it reported."""

    cpu: float
    """Percent of the processors."""
    memory: float
    """Percent of the memory."""


class HeldTask(Result):
    """A task that an agent holds."""

    task_id: TaskId
    """The task."""
    percent: Percent | None
    """Progress in percent."""


class AgentRow(Result):
    """An agent as a row of a list."""

    agent_id: Name
    """The agent."""
    status: AgentStatus
    """Its membership."""
    intake: IntakeStatus
    """Whether it takes new grants."""
    drain_deadline: Moment | None
    """When what it still holds is taken from it, or null."""
    capabilities: list[str]
    """What it can do, sorted."""
    priority: float
    """Preference as the target of steals."""
    capacity: Count
    """Leases that it may hold."""
    labels: list[str]
    """Its labels."""
    session: Session | None
    """Its current session, or null."""
    tasks: Count
    """How many tasks it holds."""
    holds: list[HeldTask]
    """What it holds, in the order of the grants."""
    load: LoadShown
    """How busy its machine was at its last report."""
    load_at: Moment | None
    """When that was; null: it never reported."""
    heard_at: Moment | None
    """When this service heard it last, or the last sign of life on record; null: neither."""


class AgentsPage(Result):
    """A page of agents."""

    agents: list[AgentRow]
    """The rows."""
    next: str | None
    """The `after` of the following page; null: this is the last one."""


class WorkloadRow(Result):
    """An agent's load as a row of a list."""

    agent_id: Name
    """The agent."""
    tasks: Count
    """How many tasks it holds."""
    capacity: Count
    """Leases that it may hold."""
    room: Count
    """How many more it may hold."""
    load: LoadShown
    """How busy its machine was at its last report."""
    load_at: Moment | None
    """When that was; null: it never reported."""
    load_status: LoadStatus
    """The class of its load, by the tasks held and the cpu."""
    takes_grants: bool
    """Whether it is given work now."""


class WorkloadsPage(Result):
    """A page of the agents' loads."""

    workloads: list[WorkloadRow]
    """The rows."""
    next: str | None
    """The `after` of the following page; null: this is the last one."""


class StealRow(Result):
    """A steal operation as a row of a list."""

    operation_id: Name
    """The steal operation."""
    status: StealStatus
    """Its status."""
    planned_at: Moment
    """When it was planned."""
    ended_at: Moment | None
    """When it ended, or null."""
    by: str
    """Who planned it."""
    plan: Planned
    """What was planned: the data of its first event."""
    outcome: StealCompleted | StealFailed | None
    """What came of it: the data of its last event; null while it is open."""


class StealsPage(Result):
    """A page of steal operations."""

    steals: list[StealRow]
    """The rows."""
    next: str | None
    """The `after` of the following page; null: this is the last one."""
