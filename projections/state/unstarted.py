"""The tasks that agents hold and have not begun, and the agents that hold some behind others: what could be stolen."""

from __future__ import annotations

import math
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from domain.lifecycles import TaskStatus
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.task import Task

Kind = tuple[tuple[str, ...], tuple[str, ...], int | None]
"""What tells how long a task may take: labels, required capabilities, and the size of its estimate if it has one."""


def kind_of(task: Task) -> Kind:
    """Return the kind of a task; estimates that differ by less than a tenth are mostly of one size."""
    definition = task.definition
    hours = definition.estimated_hours
    return definition.labels, definition.required_capabilities, round(math.log(hours) * 10) if hours else None


class _OfKind:
    """An agent's assigned tasks of one kind with their tokens.

    Grants come in the order of their tokens, so the order of insertion is theirs, but after an undo or a rebuild.
    """

    __slots__ = ("_in_order", "_newest", "tokens")

    def __init__(self) -> None:
        self.tokens: dict[str, int] = {}
        self._newest = 0
        self._in_order = True

    def add(self, task_id: str, token: int) -> None:
        self.tokens[task_id] = token
        self._in_order = self._in_order and token > self._newest
        self._newest = max(self._newest, token)

    def latest(self, limit: int) -> list[tuple[str, int]]:
        if not self._in_order:
            self.tokens = dict(sorted(self.tokens.items(), key=itemgetter(1)))
            self._in_order = True
        return list(islice(reversed(self.tokens.items()), limit))


class _OfAgent:
    """An agent's assigned tasks by kind, and those that it has begun."""

    __slots__ = ("begun", "kinds", "places")

    def __init__(self) -> None:
        self.kinds: dict[Kind, _OfKind] = {}
        self.places: dict[str, Kind] = {}
        """By assigned task: its kind when it was assigned."""
        self.begun: dict[str, None] = {}

    def drop(self, task_id: str) -> None:
        self.begun.pop(task_id, None)
        kind = self.places.pop(task_id, None)
        if kind is not None:
            of_kind = self.kinds[kind]
            del of_kind.tokens[task_id]
            if not of_kind.tokens:
                del self.kinds[kind]


class UnstartedTasks:
    """By agent: the assigned tasks by kind, and the begun ones. Following a task costs O(log n) at most."""

    def __init__(self) -> None:
        self.revision = 0
        """Changes whenever an agent got a task that it has not begun."""
        self._agents: dict[str, _OfAgent] = {}
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
            own = self._agents.get(before.agent_id)
            if own is not None:
                own.drop(task_id)
                self._place(before.agent_id, own)
        if now is not None and new is not None:
            own = self._agents.setdefault(now.agent_id, _OfAgent())
            if new.status is TaskStatus.ASSIGNED:
                kind = own.places[task_id] = kind_of(new)
                own.kinds.setdefault(kind, _OfKind()).add(task_id, now.token)
                self.revision += 1
            else:
                own.begun[task_id] = None
            self._place(now.agent_id, own)

    def sources(self, limit: int) -> list[str]:
        """Return the agents that hold a task which waits behind another one, those with the most first."""
        return [agent_id for _, agent_id in self._sources.first(limit)]

    def kinds(self, agent_id: str) -> dict[Kind, int]:
        """Return how many tasks of each kind the agent holds and has not begun."""
        own = self._agents.get(agent_id)
        return {kind: len(of_kind.tokens) for kind, of_kind in own.kinds.items()} if own is not None else {}

    def latest(self, agent_id: str, limit: int) -> list[str]:
        """Return the tasks that the agent has not begun, the latest assigned first, at most `limit` of each kind."""
        own = self._agents.get(agent_id)
        if own is None:
            return []
        found = [each for of_kind in own.kinds.values() for each in of_kind.latest(limit)]
        return [task_id for task_id, _ in sorted(found, key=itemgetter(1), reverse=True)]

    def count(self, agent_id: str) -> int:
        """Return how many tasks the agent holds and has not begun."""
        own = self._agents.get(agent_id)
        return len(own.places) if own is not None else 0

    def begun(self, agent_id: str) -> Collection[str]:
        """Return the tasks that the agent holds and has begun."""
        own = self._agents.get(agent_id)
        return own.begun.keys() if own is not None else ()

    def _place(self, agent_id: str, own: _OfAgent) -> None:
        assigned = len(own.places)
        if assigned and assigned + len(own.begun) > 1:
            self._sources.set(agent_id, -assigned)
        else:
            self._sources.remove(agent_id)
        if not assigned and not own.begun:
            del self._agents[agent_id]
