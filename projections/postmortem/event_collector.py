"""Collecting the events of a post-mortem while a log is folded."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from domain.events import Entity
from domain.events import agent as ag
from domain.events import pool as po
from domain.events import steal as st
from domain.events import task as ev
from projections.postmortem.observed_events import (
    BURST_S,
    FIRST_LED,
    Availability,
    CollectedEvents,
    ObservedEvent,
    Repeated,
)
from projections.reports.explain import candidates_for

if TYPE_CHECKING:
    from domain.recorded import Recorded
    from domain.rules import Rules
    from domain.task import Task
    from projections.postmortem.scope import Scope
    from projections.state.pool_state import PoolState

MAX_IDLE = 200
"""The most tasks without an event that are shown; a pool may hold a hundred thousand."""


_TROUBLE: Final = frozenset(
    {
        ev.Expired, ev.Stuck, ev.Stalled, ev.Recovered, ev.Quarantined, ev.Failed, ev.Stolen, ev.Revoked, ev.Blocked,
        ev.Cancelled, ev.Extended, ev.Escalated, ev.LateProgress, ag.Lost, ag.AgentDraining, ag.AgentPaused,
        st.StealFailed, po.Rearmed, po.TailLost, po.ExpiryHeld, po.ExpiryResumed, po.PoolDraining, po.PoolPaused,
    }
)  # fmt: skip
"""What makes an incident. It is kept before anything else, and so is what happens to such a task afterwards."""
_REPEATS: Final = frozenset({ev.Progressed, ev.Renewed, ag.Heartbeat, ag.LoadReported})
"""Events of which one more says little; left out first."""
_MANY = 100
"""From this many of one kind by one actor on, an event that neither begins nor ends a lease is a repeat."""


class EventCollector:
    """Observes the fold of a log, and keeps at most `limit` events of a scope.

    What is left out, if there are more: repeats first, then the ordinary course of things, the older before the newer.
    """

    def __init__(self, scope: Scope, limit: int) -> None:
        self.scope = scope
        self.total = 0
        """Events of the scope, whether kept or not."""
        self._limit = limit
        self._trouble: deque[ObservedEvent] = deque(maxlen=limit)
        self._ordinary: deque[ObservedEvent] = deque(maxlen=limit)
        self._repeats: deque[ObservedEvent] = deque(maxlen=limit)
        self._troubled: set[str] = set()
        self._repeated: dict[tuple[str, str], Repeated] = {}
        self._bursts: dict[tuple[str, str], tuple[int, int]] = {}
        """When the present `BURST_S` seconds of each kind and actor began, and how many there were since."""
        self._tasks: dict[str, Task] = {}
        self._loss: po.TailLost | None = None
        """The last loss of the log's tail that was seen."""

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
        if isinstance(recorded.event, po.TailLost):
            # Thousands may fill one loss, and each has the whole of it.
            if recorded.event == self._loss:
                return
            self._loss = recorded.event
        self.total += 1
        agent_id = _concerned(recorded, before, after)
        agent = None if agent_id is None else state.agent(agent_id)
        released = before is not None and before.lease is not None and (after is None or after.lease is None)
        held = 0 if agent_id is None else state.tasks_held(agent_id) + released
        self._keep(
            ObservedEvent(recorded, before, after, state.pool, agent, held, _availability(recorded, after, state))
        )

    def _keep(self, observed: ObservedEvent) -> None:
        recorded = observed.recorded
        event, known = recorded.event, self._counted(observed)
        if type(event) in _REPEATS or (known.number > _MANY and not observed.changes_holder):
            self._repeats.append(observed)
            return
        troubled = recorded.entity is Entity.TASK and recorded.entity_id in self._troubled
        if type(event) in _TROUBLE or troubled or (isinstance(event, po.Led) and recorded.version > FIRST_LED):
            if recorded.entity is Entity.TASK:
                self._troubled.add(recorded.entity_id)
            self._trouble.append(observed)
        else:
            self._ordinary.append(observed)

    def _counted(self, observed: ObservedEvent) -> Repeated:
        key = (observed.recorded.name, observed.recorded.actor)
        since = int(observed.at.timestamp() // BURST_S)
        known = self._repeated.get(key) or Repeated(*key, 0, 0, observed, observed)
        begun, number = self._bursts.get(key, (since, 0))
        number = number + 1 if begun == since else 1
        self._bursts[key] = (since, number)
        known = known._replace(number=known.number + 1, burst=max(known.burst, number), last=observed)
        self._repeated[key] = known
        return known

    def _kept(self) -> tuple[ObservedEvent, ...]:
        kept: list[ObservedEvent] = []
        for each in (self._trouble, self._ordinary, self._repeats):
            room = self._limit - len(kept)
            kept += islice(each, max(0, len(each) - room), None)
        return tuple(sorted(kept, key=lambda each: each.position))

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
        events = self._kept()
        named = {each.recorded.entity_id for each in events if each.recorded.entity is Entity.TASK}
        since = events[0].position if events else 0
        idle = {
            task_id: task
            for task_id, task in state.tasks.items()
            if task_id not in named and task.lease is not None and task.position < since and self.scope.has_idle(task)
        }
        shown = dict(islice(idle.items(), MAX_IDLE))
        repeated = tuple(sorted(self._repeated.values(), key=lambda each: (-each.number, each.first.position)))
        return CollectedEvents(events, self.total - len(events), shown, len(idle) - len(shown), rules, repeated)


def _concerned(recorded: Recorded, before: Task | None, after: Task | None) -> str | None:
    if recorded.entity is Entity.AGENT:
        return recorded.entity_id
    if isinstance(recorded.event, ev.TaskEvent):
        for task in (after, before):
            if task is not None and task.lease is not None:
                return task.lease.agent_id
        return getattr(recorded.event, "agent_id", None)
    return None


def _availability(recorded: Recorded, after: Task | None, state: PoolState) -> Availability | None:
    event = recorded.event
    queued_or_waiting = isinstance(event, ev.Submitted | ev.Requeued) or (
        isinstance(event, ev.Failed) and event.agent_id is None
    )
    if after is None or not queued_or_waiting:
        return None
    best_agent = state.best_agent(frozenset(after.definition.required_capabilities))
    return Availability(best_agent, () if best_agent is not None else candidates_for(after, state, recorded.time))
