"""The tasks that agents hold and have not begun, and the agents that hold some behind others: what could be stolen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.lifecycles import TaskStatus
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.task import Task


class UnstartedTasks:
    """By agent: the assigned tasks, the latest first, and the begun ones. Following a task costs O(log n)."""

    def __init__(self) -> None:
        self.revision = 0
        """Changes whenever an agent got a task that it has not begun."""
        self._assigned: dict[str, IndexedHeap[str, int]] = {}
        self._begun: dict[str, dict[str, None]] = {}
        self._sources: IndexedHeap[str, int] = IndexedHeap()

    def __bool__(self) -> bool:
        """Return whether an agent holds a task that waits behind another one of its."""
        return bool(self._sources)

    def replace_task(self, task_id: str, old: Task | None, new: Task | None) -> None:
        """Follow one task from its old state to its new one."""
        before = old.lease if old is not None else None
        now = new.lease if new is not None else None
        if before is None and now is None:
            return
        if (
            old is not None and new is not None and before is not None and now is not None
            and before.token == now.token and old.status is new.status
        ):  # fmt: skip
            return
        if before is not None:
            _drop(self._assigned, before.agent_id, task_id)
            _drop(self._begun, before.agent_id, task_id)
        if now is not None and new is not None:
            if new.status is TaskStatus.ASSIGNED:
                self._assigned.setdefault(now.agent_id, IndexedHeap()).set(task_id, -now.token)
                self.revision += 1
            else:
                self._begun.setdefault(now.agent_id, {})[task_id] = None
            self._place(now.agent_id)
        if before is not None and (now is None or before.agent_id != now.agent_id):
            self._place(before.agent_id)

    def sources(self, limit: int) -> list[str]:
        """Return the agents that hold a task which waits behind another one, those with the most first."""
        return [agent_id for _, agent_id in self._sources.first(limit)]

    def latest(self, agent_id: str, limit: int) -> list[str]:
        """Return at most `limit` of the tasks that the agent has not begun, the latest assigned first."""
        assigned = self._assigned.get(agent_id)
        return [task_id for _, task_id in assigned.first(limit)] if assigned is not None else []

    def count(self, agent_id: str) -> int:
        """Return how many tasks the agent holds and has not begun."""
        return len(self._assigned.get(agent_id, ()))

    def begun(self, agent_id: str) -> Collection[str]:
        """Return the tasks that the agent holds and has begun."""
        return self._begun.get(agent_id, {}).keys()

    def _place(self, agent_id: str) -> None:
        assigned, begun = self.count(agent_id), len(self._begun.get(agent_id, ()))
        if assigned and assigned + begun > 1:
            self._sources.set(agent_id, -assigned)
        else:
            self._sources.remove(agent_id)


def _drop(by_agent: dict[str, IndexedHeap[str, int]] | dict[str, dict[str, None]], agent_id: str, task_id: str) -> None:
    own = by_agent.get(agent_id)
    if own is None or task_id not in own:
        return
    if isinstance(own, dict):
        del own[task_id]
    else:
        own.remove(task_id)
    if not own:
        del by_agent[agent_id]
