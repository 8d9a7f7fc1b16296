"""Which events a post-mortem is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.events import Entity
from projections.reports.audit_filter import AgentFilter

if TYPE_CHECKING:
    from domain.recorded import Recorded
    from domain.task import Task
    from projections.state.pool_state import PoolState


@dataclass(slots=True)
class Scope:
    """Which events a post-mortem is about; without a task and an agent, all of them.

    The pool's own events always belong to it: an outage explains what happens to every task.
    """

    task_id: str | None = None
    agent_id: str | None = None
    held_tasks: frozenset[str] = frozenset()
    """Tasks that the agent held; all their events are included."""
    _agent_filter: AgentFilter | None = field(default=None, init=False)
    _operations: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        """Make the filter of the agent's events."""
        if self.agent_id is not None:
            self._agent_filter = AgentFilter(self.agent_id)

    def start_from(self, state: PoolState) -> None:
        """Learn which leases the agent holds before the first event."""
        if self._agent_filter is not None:
            self._agent_filter.start_from(state)

    def includes(self, recorded: Recorded, holder: str | None) -> bool:
        """Return whether an event belongs to the scope. It has to be called for every event, in order.

        `holder`: the holder of the scope's task before the event.
        """
        mine = self._agent_filter is not None and self._agent_filter.includes(recorded)
        entity, entity_id = recorded.entity, recorded.entity_id
        if entity is Entity.POOL or (self.task_id is None and self.agent_id is None):
            return True
        if self.task_id is None:
            return mine or (entity is Entity.TASK and entity_id in self.held_tasks)
        if entity is Entity.TASK:
            return entity_id == self.task_id and (self._agent_filter is None or mine)
        if entity is Entity.STEAL:
            return self._moves_the_task(recorded)
        return mine if self._agent_filter is not None else entity_id == holder

    def has_idle(self, task: Task) -> bool:
        """Return whether a held task without an event is shown."""
        lease = task.lease
        if self.task_id is not None:
            return task.task_id == self.task_id
        return self.agent_id is None or (lease is not None and lease.agent_id == self.agent_id)

    def _moves_the_task(self, recorded: Recorded) -> bool:
        if self.task_id in getattr(recorded.event, "task_ids", ()):
            self._operations.add(recorded.entity_id)
        return recorded.entity_id in self._operations
