"""What a post-mortem is made of: the events in question, each with what it found and what it left behind."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from domain.events import Entity
from domain.events.task import Failed, Requeued, Submitted, TaskEvent
from projections.reports.audit_filter import AgentFilter
from projections.reports.explain import candidates_for

if TYPE_CHECKING:
    from datetime import datetime

    from domain.agent import Agent
    from domain.pool import Pool
    from domain.recorded import Recorded
    from domain.rules import Rules
    from domain.task import Task
    from projections.reports.explain import Candidate
    from projections.state.pool_state import PoolState


MAX_IDLE = 200
"""So many tasks to which nothing happens are shown; a pool may hold a hundred thousand."""


class Availability(NamedTuple):
    """Whether anybody could take a queued task."""

    best_agent: str | None
    """An agent that could, the best by score."""
    candidates: tuple[Candidate, ...]
    """Every agent with what stood in its way, if none could."""


class ObservedEvent(NamedTuple):
    """One event, with the state around it."""

    recorded: Recorded
    before: Task | None
    """The task that it is about, before it; None for a new task and for events about something else."""
    after: Task | None
    pool: Pool
    agent: Agent | None
    """The agent that it concerns, as the pool had it: the holder, for an event about a held task."""
    agent_tasks: int
    """How many tasks that agent held, the one at hand included."""
    availability: Availability | None
    """Who could have taken the task; None unless the event queued it, or failed it in the queue."""

    @property
    def position(self) -> int:
        """Where in the log it stands."""
        return self.recorded.position

    @property
    def at(self) -> datetime:
        """When it happened."""
        return self.recorded.time


@dataclass(slots=True)
class Scope:
    """Which events a post-mortem is about; without a task and an agent, all of them.

    What concerns the whole pool always belongs to it: an outage explains what happens to every task.
    """

    task_id: str | None = None
    agent_id: str | None = None
    also: frozenset[str] = frozenset()
    """Tasks that the agent held: their whole story is part of the agent's."""
    _trail: AgentFilter | None = None
    _operations: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin the agent's trail."""
        if self.agent_id is not None:
            self._trail = AgentFilter(self.agent_id)

    def start_from(self, state: PoolState) -> None:
        """Learn which leases the agent holds already."""
        if self._trail is not None:
            self._trail.start_from(state)

    def includes(self, recorded: Recorded, holder: str | None) -> bool:
        """Return whether an event belongs here; it has to be shown every event, in order.

        `holder`: who holds the only task of the scope.
        """
        mine = self._trail is not None and self._trail.includes(recorded)
        entity, entity_id = recorded.entity, recorded.entity_id
        if entity is Entity.POOL or (self.task_id is None and self.agent_id is None):
            return True
        if self.task_id is None:
            return mine or (entity is Entity.TASK and entity_id in self.also)
        if entity is Entity.TASK:
            return entity_id == self.task_id and (self._trail is None or mine)
        if entity is Entity.STEAL:
            return self._steals_it(recorded)
        return mine if self._trail is not None else entity_id == holder

    def has_task(self, task: Task) -> bool:
        """Return whether a held task has a lane here even if nothing happens to it."""
        lease = task.lease
        if self.task_id is not None:
            return task.task_id == self.task_id
        return self.agent_id is None or (lease is not None and lease.agent_id == self.agent_id)

    def _steals_it(self, recorded: Recorded) -> bool:
        if self.task_id in getattr(recorded.event, "task_ids", ()):
            self._operations.add(recorded.entity_id)
        return recorded.entity_id in self._operations


class EventCollector:
    """Watches a log being folded, and keeps the newest events of a scope.

    `skipped`: older events of the scope that it is not even shown.
    """

    def __init__(self, scope: Scope, limit: int, *, skipped: int = 0) -> None:
        self.scope = scope
        self.total = skipped
        """Events of the scope, kept or not."""
        self.kept: deque[ObservedEvent] = deque(maxlen=limit)
        self._tasks: dict[str, Task] = {}

    def start_from(self, state: PoolState) -> None:
        """Take the state before the first event."""
        self.scope.start_from(state)
        self._tasks = dict(state.tasks)

    def observe(self, recorded: Recorded, state: PoolState) -> None:
        """Take one event, and the state right after it."""
        before = after = None
        holder = self._holder(self.scope.task_id)
        if recorded.entity is Entity.TASK:
            before, after = self._followed(recorded.entity_id, state)
        if not self.scope.includes(recorded, holder):
            return
        self.total += 1
        agent_id = _concerned(recorded, before, after)
        agent = None if agent_id is None else state.agent(agent_id)
        lost_it = before is not None and before.lease is not None and (after is None or after.lease is None)
        held = 0 if agent_id is None else state.tasks_held(agent_id) + lost_it
        self.kept.append(
            ObservedEvent(recorded, before, after, state.pool, agent, held, _chances(recorded, after, state))
        )

    def _holder(self, task_id: str | None) -> str | None:
        task = None if task_id is None else self._tasks.get(task_id)
        return task.lease.agent_id if task is not None and task.lease is not None else None

    def _followed(self, task_id: str, state: PoolState) -> tuple[Task | None, Task | None]:
        before, after = self._tasks.get(task_id), state.task(task_id)
        if after is None or after.terminal:
            self._tasks.pop(task_id, None)
        else:
            self._tasks[task_id] = after
        return before, after

    def collected(self, state: PoolState, rules: Rules) -> CollectedEvents:
        """Return what was kept, and how the pool stands at the end."""
        events = tuple(self.kept)
        named = {each.recorded.entity_id for each in events if each.recorded.entity is Entity.TASK}
        since = events[0].position if events else 0
        idle = {
            task_id: task
            for task_id, task in state.tasks.items()
            if task_id not in named and task.lease is not None and task.position < since and self.scope.has_task(task)
        }
        shown = dict(islice(idle.items(), MAX_IDLE))
        return CollectedEvents(events, self.total - len(events), shown, len(idle) - len(shown), rules)


class CollectedEvents(NamedTuple):
    """All that a post-mortem is computed from."""

    events: tuple[ObservedEvent, ...]
    dropped: int
    """Older events of the scope that the limit left out."""
    idle: dict[str, Task]
    """Tasks that were held all the time, and nothing happened to them; at most `MAX_IDLE`."""
    idle_omitted: int
    rules: Rules


def _concerned(recorded: Recorded, before: Task | None, after: Task | None) -> str | None:
    if recorded.entity is Entity.AGENT:
        return recorded.entity_id
    if isinstance(recorded.event, TaskEvent):
        for task in (after, before):
            if task is not None and task.lease is not None:
                return task.lease.agent_id
        return getattr(recorded.event, "agent_id", None)
    return None


def _chances(recorded: Recorded, after: Task | None, state: PoolState) -> Availability | None:
    event = recorded.event
    unheld = isinstance(event, Submitted | Requeued) or (isinstance(event, Failed) and event.agent_id is None)
    if after is None or not unheld:
        return None
    able = state.best_agent(frozenset(after.definition.required_capabilities))
    return Availability(able, () if able is not None else candidates_for(after, state))
