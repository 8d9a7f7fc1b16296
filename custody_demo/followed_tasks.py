"""The demo's tasks as a dashboard sees them: from the log, event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import Entity
from domain.lifecycles import TERMINAL, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.recorded import Recorded
    from domain.task import Task
    from handlers.memory.memory import Memory

AT_REST = TERMINAL | {TaskStatus.QUARANTINED}
"""Statuses in which the demo expects every task to end."""


class FollowedTasks:
    """Every task as it is after the last event; a listener of a follower that folds one event at a time."""

    def __init__(self, on_event: Callable[[Recorded, Task | None], None]) -> None:
        """`on_event` is called with each event, and the task as it was before."""
        self.tasks: dict[str, Task] = {}
        self.at_rest = 0
        """How many tasks are in a status of `AT_REST`."""
        self._on_event = on_event

    def on_reset(self, memory: Memory) -> None:
        """Begin anew; the demo's log is empty when it begins."""
        self.tasks = dict(memory.state.tasks)
        self.at_rest = sum(task.status in AT_REST for task in self.tasks.values())

    def on_events(self, records: Sequence[Recorded], memory: Memory) -> None:
        """Take an event that the memory has just folded."""
        for recorded in records:
            before = self.tasks.get(recorded.entity_id) if recorded.entity is Entity.TASK else None
            after = memory.state.task(recorded.entity_id) if recorded.entity is Entity.TASK else None
            if after is not None:
                self.at_rest += (after.status in AT_REST) - (before is not None and before.status in AT_REST)
                self.tasks[after.task_id] = after
            self._on_event(recorded, before)
