"""The queued tasks, found by what they require: most urgent first, then in the order of submission.

A task that comes back keeps its place: its order does not change when it is queued again. Of two kinds of tasks that an
agent can do, it takes within a priority that first which fewer agents can do.

Some queued tasks are delayed, and some should go to another agent than the one that failed them last. Which ones is a
function of the moment: `advance` moves the backlog to a moment, forwards only. Each task is placed by its own state and
that moment, so the fold of the log needs no clock, and an undo is exact. The cost of advancing follows what comes due.
"""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from domain.lifecycles import TaskStatus
from domain.policies.aging import aged_rank, next_aging_at
from domain.timestamps import EPOCH
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from datetime import datetime

    from domain.agent import Agent
    from domain.task import Task
    from projections.state.workloads import Workloads

_Order = tuple[int, int]

MAX_SKIPPED = 100
"""The most tasks that a claim skips because they should go to another agent; beyond that it is granted them."""


class _Kind:
    """The ready tasks that require the same capabilities."""

    __slots__ = ("avoided", "ready")

    def __init__(self) -> None:
        self.ready: IndexedHeap[str, _Order] = IndexedHeap()
        self.avoided: Counter[str] = Counter()
        """By agent: how many of the tasks should go to another agent than this one."""


class Backlog:
    """One heap for each distinct set of required capabilities; a claim looks at the sets, never at the tasks."""

    def __init__(self, aging_s: float = 0.0) -> None:
        self.as_of: datetime = EPOCH
        """The moment to which the backlog was advanced."""
        self._aging_s = aging_s
        self._kinds: dict[frozenset[str], _Kind] = {}
        self._delayed: set[str] = set()
        """Tasks whose time has not come; they are in no heap of a kind."""
        self._avoids: dict[str, str] = {}
        """Ready tasks that are counted in `avoided`, with the agent."""
        self._timed: dict[str, Task] = {}
        """Tasks with an entry in `_moments` or `_agings`."""
        self._moments: IndexedHeap[str, datetime] = IndexedHeap()
        """When a task's time comes, or other agents are no longer preferred for it."""
        self._agings: IndexedHeap[str, datetime] = IndexedHeap()
        """When a ready task ages to its next priority; empty where priorities do not age."""
        self._newly_ready: dict[frozenset[str], None] = {}
        """Kinds of which tasks became claimable at such a moment, since the last `take_newly_ready_kinds`."""
        self._size = 0

    def __len__(self) -> int:
        """Return how many tasks are queued, those included that wait for their time."""
        return self._size

    def replace(self, task_id: str, old: Task | None, new: Task | None) -> None:
        """Follow one task from its old state to its new one."""
        was = old is not None and old.status is TaskStatus.QUEUED
        is_now = new is not None and new.status is TaskStatus.QUEUED
        if not was and not is_now:
            return
        if was and old is not None:
            self._take_out(task_id, _required(old))
            self._size -= 1
        if is_now and new is not None:
            self._put_in(task_id, new)
            self._size += 1

    def advance(self, now: datetime) -> None:
        """Move to a later moment; an earlier one changes nothing."""
        if now <= self.as_of:
            return
        self.as_of = now
        while (first := self._moments.peek()) is not None and first[0] <= now:
            task = self._timed[first[1]]
            required = _required(task)
            self._take_out(first[1], required)
            self._put_in(first[1], task)
            self._newly_ready[required] = None
        while (first := self._agings.peek()) is not None and first[0] <= now:
            task = self._timed[first[1]]
            self._take_out(first[1], _required(task))
            self._put_in(first[1], task)

    def next_ready_at(self) -> datetime | None:
        """Return when the next task becomes claimable by its time alone; `as_of` if some did and were not taken yet."""
        if self._newly_ready:
            return self.as_of
        first = self._moments.peek()
        return None if first is None else first[0]

    def take_newly_ready_kinds(self) -> list[frozenset[str]]:
        """Return the kinds of which tasks became claimable by their time alone since the last call."""
        kinds, self._newly_ready = list(self._newly_ready), {}
        return kinds

    def kinds(self) -> list[frozenset[str]]:
        """Return the distinct sets of required capabilities of which there is a ready task."""
        return list(self._kinds)

    def count(self, required: frozenset[str]) -> int:
        """Return how many ready tasks require exactly these capabilities."""
        kind = self._kinds.get(required)
        return len(kind.ready) if kind is not None else 0

    def kinds_avoided(self) -> list[frozenset[str]]:
        """Return the kinds of which all ready tasks should go to another agent than one and the same."""
        if not self._avoids:
            return []
        return [required for required in self._kinds if self.avoided_by_all(required) is not None]

    def avoided_by_all(self, required: frozenset[str]) -> str | None:
        """Return the agent that all ready tasks of a kind should not go to, if there is one."""
        kind = self._kinds.get(required)
        if kind is None or len(kind.avoided) != 1:
            return None
        agent_id, count = next(iter(kind.avoided.items()))
        return agent_id if count == len(kind.ready) else None

    def first(self, agent: Agent, limit: int, workloads: Workloads) -> list[str]:
        """Return the ids of the first ready tasks that the agent can do, at most `limit`.

        Most urgent first, then what the fewest agents can do, then in the order of submission. Left out are those that
        it had last, while they should go to another agent and one is available.
        """
        capabilities, agent_id = agent.capabilities, agent.agent_id
        found = []
        for required, kind in self._kinds.items():
            if required <= capabilities:
                avoided = kind.avoided[agent_id] if kind.avoided else 0
                if avoided and workloads.another_available(required, agent_id):
                    entries = self._first_for_others(kind, agent_id, avoided, limit)
                else:
                    entries = kind.ready.first(limit)
                able = workloads.able_agents(required)
                found.append([((urgency, able, position), task_id) for (urgency, position), task_id in entries])
        return [task_id for _, task_id in islice(heapq.merge(*found), limit)]

    def _first_for_others(self, kind: _Kind, agent_id: str, avoided: int, limit: int) -> list[tuple[_Order, str]]:
        """Return the first tasks of a kind that do not avoid the agent; those that do, beyond `MAX_SKIPPED` of them."""
        if avoided == len(kind.ready):
            return []
        entries = kind.ready.first(limit + min(avoided, MAX_SKIPPED))
        return ([each for each in entries if self._avoids.get(each[1]) != agent_id] or entries)[:limit]

    def _put_in(self, task_id: str, task: Task) -> None:
        moment = task.not_before
        if moment is not None and moment > self.as_of:
            self._delayed.add(task_id)
        else:
            required, moment = _required(task), None
            kind = self._kinds.get(required)
            if kind is None:
                kind = self._kinds[required] = _Kind()
            kind.ready.set(task_id, queue_order(task, self.as_of, self._aging_s))
            if self._aging_s:
                self._age(task_id, task)
            if task.avoids is not None and task.avoids_until is not None and task.avoids_until > self.as_of:
                moment = task.avoids_until
                self._avoids[task_id] = task.avoids
                kind.avoided[task.avoids] += 1
        if moment is not None:
            self._timed[task_id] = task
            self._moments.set(task_id, moment)

    def _age(self, task_id: str, task: Task) -> None:
        """Note when a ready task ages next."""
        at = next_aging_at(task.definition.priority, task.waits_since, self.as_of, self._aging_s)
        if at is not None:
            self._timed[task_id] = task
            self._agings.set(task_id, at)

    def _take_out(self, task_id: str, required: frozenset[str]) -> None:
        if self._timed.pop(task_id, None) is not None:
            self._moments.remove(task_id)
            self._agings.remove(task_id)
        if task_id in self._delayed:
            self._delayed.remove(task_id)
            return
        kind = self._kinds[required]
        kind.ready.remove(task_id)
        avoided = self._avoids.pop(task_id, None)
        if avoided is not None:
            kind.avoided[avoided] -= 1
            if not kind.avoided[avoided]:
                del kind.avoided[avoided]
        if not kind.ready:
            del self._kinds[required]


def _required(task: Task) -> frozenset[str]:
    return frozenset(task.definition.required_capabilities)


def queue_order(task: Task, now: datetime, aging_s: float = 0.0) -> _Order:
    """Return a queued task's sort key at `now`: urgent tasks first, then those that were submitted earlier.

    `aging_s`: with every so many seconds of waiting it counts as one priority more urgent; 0: it does not.
    """
    priority = task.definition.priority
    rank = aged_rank(priority, task.waits_since, now, aging_s) if aging_s else priority.rank
    return (-rank, task.submitted_position)


def is_delayed(task: Task, now: datetime) -> bool:
    """Return whether a task is queued and its time has not come."""
    return task.status is TaskStatus.QUEUED and task.not_before is not None and task.not_before > now


def listing_order(task: Task, now: datetime, aging_s: float = 0.0) -> tuple[float, ...]:
    """Return a queued task's sort key in a list: ready tasks in their order, then the others by their time."""
    if task.not_before is not None and task.not_before > now:
        return (1, task.not_before.timestamp(), *queue_order(task, now))
    return (0, *queue_order(task, now, aging_s))
