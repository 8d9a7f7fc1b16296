"""Collecting the events of a post-mortem while a log is folded."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from domain.events import Entity
from domain.events.task import Failed, Requeued, Submitted, TaskEvent
from projections.postmortem.observed_events import Availability, CollectedEvents, ObservedEvent
from projections.reports.explain import candidates_for

if TYPE_CHECKING:
    from domain.recorded import Recorded
    from domain.rules import Rules
    from domain.task import Task
    from projections.postmortem.scope import Scope
    from projections.state.pool_state import PoolState

MAX_IDLE = 200
"""The most tasks without an event that are shown; a pool may hold a hundred thousand."""


class EventCollector:
    """Observes the fold of a log, and keeps the newest events of a scope.

    `skipped`: how many older events of the scope it is not shown at all.
    """

    def __init__(self, scope: Scope, limit: int, *, skipped: int = 0) -> None:
        self.scope = scope
        self.total = skipped
        """Events of the scope, whether kept or not."""
        self.kept: deque[ObservedEvent] = deque(maxlen=limit)
        self._tasks: dict[str, Task] = {}

    def start_from(self, state: PoolState) -> None:
        """Read the state before the first event."""
        self.scope.start_from(state)
        self._tasks = dict(state.tasks)

    def observe(self, recorded: Recorded, state: PoolState) -> None:
        """Take one event, and the state just after it."""
        before = after = None
        holder = self._holder(self.scope.task_id)
        if recorded.entity is Entity.TASK:
            before, after = self._before_and_after(recorded.entity_id, state)
        if not self.scope.includes(recorded, holder):
            return
        self.total += 1
        agent_id = _concerned(recorded, before, after)
        agent = None if agent_id is None else state.agent(agent_id)
        released = before is not None and before.lease is not None and (after is None or after.lease is None)
        held = 0 if agent_id is None else state.tasks_held(agent_id) + released
        self.kept.append(
            ObservedEvent(recorded, before, after, state.pool, agent, held, _availability(recorded, after, state))
        )

    def _holder(self, task_id: str | None) -> str | None:
        task = None if task_id is None else self._tasks.get(task_id)
        return None if task is None else task.holder

    def _before_and_after(self, task_id: str, state: PoolState) -> tuple[Task | None, Task | None]:
        before, after = self._tasks.get(task_id), state.task(task_id)
        if after is None or after.terminal:
            self._tasks.pop(task_id, None)
        else:
            self._tasks[task_id] = after
        return before, after

    def collected(self, state: PoolState, rules: Rules) -> CollectedEvents:
        """Return the events that were kept, and the tasks that were held without an event."""
        events = tuple(self.kept)
        named = {each.recorded.entity_id for each in events if each.recorded.entity is Entity.TASK}
        since = events[0].position if events else 0
        idle = {
            task_id: task
            for task_id, task in state.tasks.items()
            if task_id not in named and task.lease is not None and task.position < since and self.scope.has_idle(task)
        }
        shown = dict(islice(idle.items(), MAX_IDLE))
        return CollectedEvents(events, self.total - len(events), shown, len(idle) - len(shown), rules)


def _concerned(recorded: Recorded, before: Task | None, after: Task | None) -> str | None:
    if recorded.entity is Entity.AGENT:
        return recorded.entity_id
    if isinstance(recorded.event, TaskEvent):
        for task in (after, before):
            if task is not None and task.lease is not None:
                return task.lease.agent_id
        return getattr(recorded.event, "agent_id", None)
    return None


def _availability(recorded: Recorded, after: Task | None, state: PoolState) -> Availability | None:
    event = recorded.event
    queued_or_waiting = isinstance(event, Submitted | Requeued) or (
        isinstance(event, Failed) and event.agent_id is None
    )
    if after is None or not queued_or_waiting:
        return None
    best_agent = state.best_agent(frozenset(after.definition.required_capabilities))
    return Availability(best_agent, () if best_agent is not None else candidates_for(after, state, recorded.time))
