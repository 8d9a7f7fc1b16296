"""The queued tasks, found by what they require: most urgent first, then in the order of submission.

A task that comes back keeps its place: its order does not change when it is queued again.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from domain.lifecycles import TaskStatus
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from domain.task import Task

_Order = tuple[int, int]


class Backlog:
    """One heap for each distinct set of required capabilities; a claim looks at the sets, never at the tasks."""

    def __init__(self) -> None:
        self._groups: dict[frozenset[str], IndexedHeap[str, _Order]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def replace(self, task_id: str, old: Task | None, new: Task | None) -> None:
        """Follow one task from its old state to its new one."""
        was = old is not None and old.status is TaskStatus.QUEUED
        is_now = new is not None and new.status is TaskStatus.QUEUED
        if not was and not is_now:
            return
        if was and old is not None:
            required = _required(old)
            self._groups[required].remove(task_id)
            self._size -= 1
            if not self._groups[required]:
                del self._groups[required]
        if is_now and new is not None:
            self._groups.setdefault(_required(new), IndexedHeap()).set(task_id, queue_order(new))
            self._size += 1

    def kinds(self) -> list[frozenset[str]]:
        """Return the distinct sets of required capabilities of which there is a queued task."""
        return list(self._groups)

    def count(self, required: frozenset[str]) -> int:
        """Return how many queued tasks require exactly these capabilities."""
        group = self._groups.get(required)
        return len(group) if group is not None else 0

    def first(self, capabilities: frozenset[str], limit: int) -> list[str]:
        """Return the ids of the first tasks that an agent with these capabilities can do, at most `limit`."""
        found = [group.first(limit) for required, group in self._groups.items() if required <= capabilities]
        return [task_id for _, task_id in heapq.merge(*found)][:limit]


def _required(task: Task) -> frozenset[str]:
    return frozenset(task.definition.required_capabilities)


def queue_order(task: Task) -> _Order:
    """Return a queued task's sort key: urgent tasks first, then those that were submitted earlier."""
    return (-task.definition.priority.rank, task.submitted_position)
