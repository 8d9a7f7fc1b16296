"""What can be asked of a pool: the bodies of the queries, checked field by field.

The answers are in `projections.queries.answers`. This file imports little, because every client command reads it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.json_values import Label, Name, TaskId
from domain.limits import DEFAULT_PAGE, MAX_PAGE
from domain.statuses import TERMINAL, TaskStatus
from domain.values import Priority


class Query(BaseModel):
    """A query's body; unknown fields are refused."""

    # A client builds the one model that it needs; the service builds all of them before it serves.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    view: ClassVar[str]


class Page(Query):
    """A query that answers in pages."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    after: Annotated[str, Field(max_length=128)] | None = None


class TaskQuery(Query):
    """One task, whole."""

    view: ClassVar[str] = "task"
    task_id: TaskId


class ExplainQuery(Query):
    """Where one task is, why, and what happens next."""

    view: ClassVar[str] = "explain"
    task_id: TaskId


class TasksQuery(Page):
    """Live tasks, then those that ended."""

    view: ClassVar[str] = "tasks"
    status: Annotated[TaskStatus, Field(strict=False)] | None = None
    priority: Annotated[Priority, Field(strict=False)] | None = None
    label: Label | None = None

    @property
    def filters(self) -> bool:
        """Whether it asks for some tasks only."""
        return self.status is not None or self.priority is not None or self.label is not None

    @property
    def lists_ended(self) -> bool:
        """Whether tasks that have ended can fit."""
        return self.status is None or self.status in TERMINAL


class LeasesQuery(Page):
    """The leases that are held."""

    view: ClassVar[str] = "leases"
    agent_id: Name | None = None
    status: Literal["active", "expiring_soon", "expired", "stopped"] | None = None


class AgentsQuery(Page):
    """Agents of the pool."""

    view: ClassVar[str] = "agents"
    agent_id: Name | None = None
    lost: bool = True
    """Whether lost agents are listed too."""


class WorkloadsQuery(Page):
    """The load of each agent, and whether it takes grants."""

    view: ClassVar[str] = "workloads"
    agent_id: Name | None = None


class BacklogQuery(Page):
    """The queued tasks, the next one to be granted first."""

    view: ClassVar[str] = "backlog"


class StatisticsQuery(Query):
    """Counts of live entities, and totals since the log began."""

    view: ClassVar[str] = "statistics"


class StealsQuery(Page):
    """Steal operations that are open, and lately ended ones."""

    view: ClassVar[str] = "steals"
    agent_id: Name | None = None


class HealthQuery(Query):
    """Whether the pool is served, and how."""

    view: ClassVar[str] = "health"


QUERIES: dict[str, type[Query]] = {
    cls.view: cls
    for cls in (
        TaskQuery, ExplainQuery, TasksQuery, LeasesQuery, AgentsQuery, WorkloadsQuery, BacklogQuery, StatisticsQuery,
        StealsQuery, HealthQuery,
    )
}  # fmt: skip
