"""The projection of a log onto tables: the rows that events change, collected while the log is folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.events import Entity
from domain.events.agent import AgentNoted
from domain.events.task import OUTSIDE_LIFECYCLE
from domain.lifecycles import AgentStatus
from projections.read_models import tables
from projections.read_models.table_rows import (
    Values,
    agent_row,
    event_row,
    lease_row,
    steal_row,
    task_row,
    unreadable_event_row,
)
from projections.reports.audit_rows import unreadable_audit_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.agent import Agent
    from domain.recorded import Recorded
    from domain.steal import Steal
    from domain.task import Lease, Task
    from projections.state.pool_state import PoolState


class TableChanges(NamedTuple):
    """The rows that consecutive events change."""

    replaced: Mapping[tables.Table, Sequence[Values]]
    """Rows that are new, or replace the row with their key; one for each key."""
    events: Sequence[Values]
    """New rows of the table of events."""


class TableProjection:
    """Collects the rows that change; `state` is the fold, and has to be at the tables' watermark at the start.

    It keeps the leases that are held: once one has ended, the task's state holds nothing of it but how it ended.
    """

    def __init__(self, state: PoolState) -> None:
        self._state = state
        self._held: dict[str, Lease] = {
            task_id: task.lease for task_id, task in state.tasks.items() if task.lease is not None
        }
        self._clear()

    def _clear(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._leases: dict[int, tuple[str, Lease, str | None, Recorded]] = {}
        """By token: the task, the lease, how it ended if it did, and the last event on it."""
        self._agents: dict[str, Agent] = {}
        self._steals: dict[str, tuple[Steal, Recorded]] = {}
        self._events: list[Values] = []

    def take_changes(self) -> TableChanges:
        """Return what has changed since the last call."""
        replaced: dict[tables.Table, list[Values]] = {
            tables.TASKS: [task_row(task) for task in self._tasks.values()],
            tables.LEASES: [lease_row(*each) for each in self._leases.values()],
            tables.AGENTS: [agent_row(agent) for agent in self._agents.values()],
            tables.STEALS: [steal_row(*each) for each in self._steals.values()],
        }
        changes = TableChanges({table: rows for table, rows in replaced.items() if rows}, self._events)
        self._clear()
        return changes

    def apply(self, recorded: Recorded, body: bytes) -> None:
        """Take an event that the state has just folded; `body` is the stored message."""
        self._events.append(event_row(recorded, body))
        entity_id = recorded.entity_id
        match recorded.entity:
            case Entity.TASK:
                task = self._state.task(entity_id)
                if task is not None and not (task.terminal and type(recorded.event) in OUTSIDE_LIFECYCLE):
                    # A late report or a note on a task that has ended changes only the table of events: whether the
                    # fold applies it depends on what is still in memory.
                    self._apply_to_task(task, recorded)
            case Entity.AGENT:
                agent = self._state.agent(entity_id)
                if agent is not None and not (
                    agent.status is AgentStatus.DEREGISTERED and type(recorded.event) is AgentNoted
                ):
                    self._agents[entity_id] = agent
            case Entity.STEAL:
                steal = self._state.steal(entity_id)
                if steal is not None:
                    self._steals[entity_id] = steal, recorded

    def skip(self, position: int, subject: str, body: bytes, reason: str, recorded: Recorded | None) -> None:
        """Take a message that the fold skips; `recorded` is its event, if it decodes and only the fold refuses it."""
        if recorded is not None:
            self._events.append(event_row(recorded, body, reason))
        else:
            self._events.append(unreadable_event_row(unreadable_audit_row(position, subject, reason), reason))

    def _apply_to_task(self, task: Task, recorded: Recorded) -> None:
        task_id, before, now = task.task_id, self._held.get(task.task_id), task.lease
        self._tasks[task_id] = task
        if before is not None and (now is None or now.token != before.token):
            self._leases[before.token] = task_id, before, task.former[-1].ended.value, recorded
            del self._held[task_id]
        if now is not None and now is not before:
            self._held[task_id] = now
            self._leases[now.token] = task_id, now, None, recorded
