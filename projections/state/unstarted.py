"""The tasks that agents hold and have not begun, and the agents that hold some behind others: what could be stolen."""

from __future__ import annotations

from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from domain.lifecycles import TaskStatus
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.task import Task


class _Assigned:
    """An agent's assigned tasks with their tokens.

    Grants come in the order of their tokens, so the order of insertion is theirs, but after an undo or a rebuild.
    """

    __slots__ = ("_in_order", "_newest", "_tokens")

    def __init__(self) -> None:
        self._tokens: dict[str, int] = {}
        self._newest = 0
        self._in_order = True

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, task_id: str, token: int) -> None:
        self._tokens[task_id] = token
        self._in_order = self._in_order and token > self._newest
        self._newest = max(self._newest, token)

    def drop(self, task_id: str) -> None:
        self._tokens.pop(task_id, None)

    def latest(self, limit: int) -> list[str]:
        if not self._in_order:
            self._tokens = dict(sorted(self._tokens.items(), key=itemgetter(1)))
            self._in_order = True
        return list(islice(reversed(self._tokens), limit))


class UnstartedTasks:
    """By agent: the assigned tasks, the latest first, and the begun ones. Following a task costs O(log n)."""

    def __init__(self) -> None:
        self.revision = 0
        """Changes whenever an agent got a task that it has not begun."""
        self._assigned: dict[str, _Assigned] = {}
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
            self._drop(before.agent_id, task_id)
        if now is not None and new is not None:
            if new.status is TaskStatus.ASSIGNED:
                self._assigned.setdefault(now.agent_id, _Assigned()).add(task_id, now.token)
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
        return assigned.latest(limit) if assigned is not None else []

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

    def _drop(self, agent_id: str, task_id: str) -> None:
        assigned, begun = self._assigned.get(agent_id), self._begun.get(agent_id)
        if assigned is not None:
            assigned.drop(task_id)
            if not assigned:
                del self._assigned[agent_id]
        if begun is not None:
            begun.pop(task_id, None)
            if not begun:
                del self._begun[agent_id]
