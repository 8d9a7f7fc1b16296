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
from typing import TYPE_CHECKING, Any

from domain.lifecycles import TaskStatus
from domain.policies.aging import aged_rank, next_aging_at
from domain.timestamps import EPOCH
from projections.state.indexed_heap import IndexedHeap
from projections.state.moments import Moments
from projections.state.sorted_keys import SortedKeys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from domain.agent import Agent
    from domain.task import Task
    from domain.values import Priority
    from projections.state.workloads import Workloads

_Order = tuple[int, int]
_Ready = tuple[int, int, str]
"""A ready task's place in the order of grants, and its id."""
_Delayed = tuple[float, int, int, str]
"""When a delayed task's time comes, in seconds since 1970; its place among those of that moment; its id."""

MAX_SKIPPED = 100
"""The most tasks that a claim skips because they should go to another agent; beyond that it is granted them."""


class _Kind:
    """The ready tasks that require the same capabilities."""

    __slots__ = ("avoided", "ready")

    def __init__(self, ready: Iterable[_Ready] = ()) -> None:
        self.ready: SortedKeys[_Ready] = SortedKeys(ready)
        self.avoided: Counter[str] = Counter()
        """By agent: how many of the tasks should go to another agent than this one."""


class Backlog:
    """One order for each distinct set of required capabilities; a claim looks at the sets, never at the tasks."""

    def __init__(self, aging_s: float = 0.0) -> None:
        self.as_of: datetime = EPOCH
        """The moment to which the backlog was advanced."""
        self._aging_s = aging_s
        self._kinds: dict[frozenset[str], _Kind] = {}
        self._delayed: SortedKeys[_Delayed] = SortedKeys()
        """Tasks whose time has not come; they are of no kind."""
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
        self._waiting_since = Moments()
        """Since when each task is queued that has no time to wait for."""
        self._timed_since = Moments()
        """Since when each other task is queued."""
        self._timed_ready_since = Moments()
        """Since when each of those waits whose time has come."""
        self._by_priority: Counter[Priority] = Counter()

    def __len__(self) -> int:
        """Return how many tasks are queued, those included that wait for their time."""
        return self._by_priority.total()

    @property
    def delayed(self) -> int:
        """How many queued tasks wait for their time."""
        return len(self._delayed)

    @property
    def by_priority(self) -> Mapping[Priority, int]:
        """How many tasks of each priority are queued, by their own priority."""
        return self._by_priority

    def queued_longest_since(self) -> datetime | None:
        """Return since when the task is queued that has been for the longest time; None if none is."""
        return _earlier(self._waiting_since.first(), self._timed_since.first())

    def ready_longest_since(self) -> datetime | None:
        """Return since when the task waits that has for the longest time among those whose time has come; or None."""
        return _earlier(self._waiting_since.first(), self._timed_ready_since.first())

    def fill(self, tasks: Iterable[Task]) -> None:
        """Place many tasks where none is yet; as `replace` for each, and quicker."""
        queued = [task for task in tasks if task.status is TaskStatus.QUEUED]
        ready: dict[frozenset[str], list[_Ready]] = {}
        timed: list[Task] = []
        for task in queued:
            if self._aging_s or task.not_before is not None or task.avoids is not None:
                timed.append(task)
            else:
                key = (*queue_order(task, self.as_of), task.task_id)
                ready.setdefault(_required(task), []).append(key)
        self._kinds = {required: _Kind(keys) for required, keys in ready.items()}
        for task in timed:
            self._put_in(task)
        self._waiting_since = Moments(task.status_since for task in queued if task.not_before is None)
        self._timed_since = Moments(task.status_since for task in queued if task.not_before is not None)
        self._by_priority.update([task.definition.priority for task in queued])

    def replace(self, old: Task | None, new: Task | None) -> None:
        """Follow one task from its old state to its new one."""
        was = old is not None and old.status is TaskStatus.QUEUED
        is_now = new is not None and new.status is TaskStatus.QUEUED
        if not was and not is_now:
            return
        if was and old is not None:
            self._take_out(old, self.as_of)
            self._queued_since(old).remove(old.status_since)
            self._by_priority[old.definition.priority] -= 1
        if is_now and new is not None:
            self._put_in(new)
            self._queued_since(new).add(new.status_since)
            self._by_priority[new.definition.priority] += 1

    def advance(self, now: datetime) -> None:
        """Move to a later moment; an earlier one changes nothing."""
        if now <= self.as_of:
            return
        before, self.as_of = self.as_of, now
        while (first := self._moments.peek()) is not None and first[0] <= now:
            task = self._timed[first[1]]
            self._take_out(task, before)
            self._put_in(task)
            self._newly_ready[_required(task)] = None
        while (first := self._agings.peek()) is not None and first[0] <= now:
            task = self._timed[first[1]]
            self._take_out(task, before)
            self._put_in(task)

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

    def first_of(self, required: frozenset[str]) -> str:
        """Return the first ready task that requires exactly these capabilities; there is one."""
        return next(iter(self._kinds[required].ready))[2]

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
                    entries = list(islice(kind.ready, limit))
                able = workloads.able_agents(required)
                found.append([((urgency, able, position), task_id) for urgency, position, task_id in entries])
        return [task_id for _, task_id in islice(heapq.merge(*found), limit)]

    def listing(self, after: tuple[float, ...]) -> Iterator[tuple[tuple[float, ...], str]]:
        """Iterate over the queued tasks with their places, in the order of `listing_order`, from beyond a place on."""
        if after[:1] <= (0,):
            of_kinds = [
                kind.ready.following(after[1:], _place) if after[:1] == (0,) else kind.ready
                for kind in self._kinds.values()
            ]
            for urgency, position, task_id in heapq.merge(*of_kinds):
                yield (0, urgency, position), task_id
        if after[:1] <= (1,):
            delayed = self._delayed.following(after[1:], _place) if after[:1] == (1,) else self._delayed
            for *place, task_id in delayed:
                yield (1, *place), task_id

    def _first_for_others(self, kind: _Kind, agent_id: str, avoided: int, limit: int) -> list[_Ready]:
        """Return the first tasks of a kind that do not avoid the agent; those that do, beyond `MAX_SKIPPED` of them."""
        if avoided == len(kind.ready):
            return []
        entries = list(islice(kind.ready, limit + min(avoided, MAX_SKIPPED)))
        return ([each for each in entries if self._avoids.get(each[2]) != agent_id] or entries)[:limit]

    def _queued_since(self, task: Task) -> Moments:
        return self._waiting_since if task.not_before is None else self._timed_since

    def _put_in(self, task: Task) -> None:
        task_id, moment = task.task_id, task.not_before
        if moment is not None and moment > self.as_of:
            self._delayed.add(_delayed_key(task, moment))
        else:
            if moment is not None:
                self._timed_ready_since.add(task.waits_since)
            required, moment = _required(task), None
            kind = self._kinds.get(required)
            if kind is None:
                kind = self._kinds[required] = _Kind()
            kind.ready.add((*queue_order(task, self.as_of, self._aging_s), task_id))
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

    def _take_out(self, task: Task, as_of: datetime) -> None:
        """Take out a task that was placed as of a moment."""
        task_id = task.task_id
        if self._timed.pop(task_id, None) is not None:
            self._moments.remove(task_id)
            self._agings.remove(task_id)
        if task.not_before is not None and task.not_before > as_of:
            self._delayed.remove(_delayed_key(task, task.not_before))
            return
        if task.not_before is not None:
            self._timed_ready_since.remove(task.waits_since)
        required = _required(task)
        kind = self._kinds[required]
        kind.ready.remove((*queue_order(task, as_of, self._aging_s), task_id))
        avoided = self._avoids.pop(task_id, None)
        if avoided is not None:
            kind.avoided[avoided] -= 1
            if not kind.avoided[avoided]:
                del kind.avoided[avoided]
        if not kind.ready:
            del self._kinds[required]


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the earlier of two moments of which either may be missing."""
    return min((each for each in (one, other) if each is not None), default=None)


def _delayed_key(task: Task, not_before: datetime) -> _Delayed:
    return (not_before.timestamp(), *queue_order(task, not_before), task.task_id)


def _place(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a key without the task's id."""
    return key[:-1]


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
