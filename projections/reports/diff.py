"""What changed in a pool between two moments: tasks, agents and counts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.events import Entity
from domain.task import Task
from domain.timestamps import format_timestamp
from projections.queries.pool_copy import copy_of
from projections.queries.statistics_view import statistics_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.agent import Agent
    from domain.recorded import Recorded
    from projections.state.pool_state import PoolState


class ComparedTask(NamedTuple):
    """The fields of a task that are compared."""

    status: str
    attempt: int
    agent_id: str | None
    percent: int | None
    ended: bool


class ComparedAgent(NamedTuple):
    """The fields of an agent that are compared."""

    status: str
    intake: str
    tasks: int
    capacity: int
    cpu: float
    memory: float
    capabilities: tuple[str, ...]


class Change(NamedTuple):
    """One task or agent that changed, before and after."""

    id: str
    change: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def differing(self) -> tuple[str, ...]:
        """Return the names of the fields that differ; all of them if one side is missing."""
        if self.before is None or self.after is None:
            return tuple(self.before or self.after or ())
        return tuple(name for name, value in self.before.items() if value != self.after[name])


class DiffBuilder:
    """Starts at one state, observes every event after it, and compares with the state that they lead to.

    Of the tasks that events were about it keeps only the compared fields.
    """

    def __init__(self, state: PoolState, totals: Mapping[str, Any], now: datetime) -> None:
        self._state = state
        self._began = _moment(state, now)
        self._counts = _counts(state, totals, now)
        self._agents = _agents(state)
        tasks = {**{key[1]: each for key, each in state.ended.recent.items() if isinstance(each, Task)}, **state.tasks}
        self._known = tasks
        self._tasks: dict[str, tuple[ComparedTask | None, ComparedTask]] = {}
        self._events: Counter[str] = Counter()

    def observe(self, recorded: Recorded) -> None:
        """Take one event that the state has just folded."""
        self._events[f"{recorded.entity.value}.{recorded.name}"] += 1
        if recorded.entity is not Entity.TASK:
            return
        task = self._state.task(recorded.entity_id)
        if task is None:
            # A late report on a task that has ended and left memory changes nothing.
            return
        known = self._tasks.get(task.task_id)
        if known is None:
            before = self._known.get(task.task_id)
            if before is None and recorded.version > 1:
                return
            self._tasks[task.task_id] = (None if before is None else _compared(before), _compared(task))
        else:
            self._tasks[task.task_id] = (known[0], _compared(task))

    def result(self, totals: Mapping[str, Any], now: datetime) -> Diff:
        """Return what changed. `now`: the later moment."""
        after = _agents(self._state)
        ids = dict.fromkeys([*self._agents, *after])
        agents = [_agent_change(each, self._agents.get(each), after.get(each)) for each in ids]
        tasks = [_task_change(task_id, *states) for task_id, states in self._tasks.items()]
        counts = _counts(self._state, totals, now)
        return Diff(
            self._began,
            _moment(self._state, now),
            dict(sorted(self._events.items())),
            {name: (self._counts.get(name, 0), counts.get(name, 0)) for name in {**counts, **self._counts}},
            [each for each in tasks if each is not None],
            [each for each in agents if each is not None],
        )


class Diff(NamedTuple):
    """What changed between two moments."""

    began: dict[str, Any]
    ended: dict[str, Any]
    by_event: dict[str, int]
    counts: dict[str, tuple[int, int]]
    tasks: list[Change]
    agents: list[Change]

    def as_json(self) -> dict[str, Any]:
        """Return the differences as JSON values."""
        return {
            "from": self.began,
            "to": self.ended,
            "events": sum(self.by_event.values()),
            "by_event": self.by_event,
            "counts": {name: {"before": before, "after": after} for name, (before, after) in self.counts.items()},
            "tasks": [_named("task_id", each) for each in self.tasks],
            "agents": [_named("agent_id", each) for each in self.agents],
        }


def _named(name: str, change: Change) -> dict[str, Any]:
    document = change._asdict()
    return {name: document.pop("id"), **document}


def _moment(state: PoolState, now: datetime) -> dict[str, Any]:
    return {"position": state.position, "now": format_timestamp(now)}


def _counts(state: PoolState, totals: Mapping[str, Any], now: datetime) -> dict[str, int]:
    document = statistics_document(copy_of(state, now, totals, lambda _: None))
    leases = document["leases"]
    return {
        **{f"tasks.{status}": count for status, count in document["tasks"].items()},
        **{
            f"leases.{name}": leases[name]
            for name in ("held", "active", "expiring_soon", "in_grace", "stopped", "stalled")
        },
        "agents": document["agents"],
    }


def _compared(task: Task) -> ComparedTask:
    lease = task.lease
    return ComparedTask(
        task.status.value,
        task.attempt,
        task.holder,
        None if lease is None else lease.percent,
        task.terminal,
    )


def _task_change(task_id: str, before: ComparedTask | None, after: ComparedTask) -> Change | None:
    if before == after:
        return None
    words = [
        word
        for word, holds in (
            ("new", before is None),
            ("ended", after.ended and not (before is not None and before.ended)),
        )
        if holds
    ]
    return Change(task_id, " and ".join(words) or "changed", _document(before), _document(after))


def _document(compared: ComparedTask | None) -> dict[str, Any] | None:
    if compared is None:
        return None
    document = compared._asdict()
    del document["ended"]
    return document


def _agents(state: PoolState) -> dict[str, ComparedAgent]:
    return {agent_id: _compared_agent(agent, state.tasks_held(agent_id)) for agent_id, agent in state.agents.items()}


def _compared_agent(agent: Agent, held: int) -> ComparedAgent:
    return ComparedAgent(
        agent.status.value,
        agent.intake.value,
        held,
        agent.capacity,
        agent.cpu,
        agent.memory,
        tuple(sorted(agent.capabilities)),
    )


def _agent_change(agent_id: str, before: ComparedAgent | None, after: ComparedAgent | None) -> Change | None:
    if before == after:
        return None
    word = "joined" if before is None else "left" if after is None else "changed"
    return Change(agent_id, word, before and before._asdict(), after and after._asdict())
