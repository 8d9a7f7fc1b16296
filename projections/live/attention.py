"""What needs a person: tasks that no agent can bring on, agents that were lost, deadlines, floods, a dead service.

Which tasks are looked at is kept at every event; what is said of them is read from the state.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from domain.events import Entity
from domain.events import task as ev
from domain.statuses import AgentStatus, TaskStatus
from domain.timestamps import after, seconds_between
from projections.live.floods import Floods
from projections.live.needs import ACTIONS, KINDS, Need, Needs, need_of_flood, need_of_service, need_of_task
from projections.reports.wording import count
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from domain.task import Task
    from projections.live.service_health import ServiceHealth
    from projections.state.pool_state import PoolState

__all__ = ["ACTIONS", "KINDS", "Attention", "Need", "Needs", "unworkable_kinds"]

MAX_NEEDS = 500
"""Needs that are listed, the worst first."""
DEADLINE_S = 600.0
"""A deadline needs a person from so long before it on."""
DOWN_AFTER_S = 3.0
"""A service that has not answered for so long is called down."""
MAX_NAMED = 20
"""Tasks that one need names."""


class Attention:
    """Keeps which tasks and agents may need a person. Memory: those, and the tasks with a deadline."""

    def __init__(self) -> None:
        self._by_kind: dict[str, dict[str, None]] = {}
        self._kind_of: dict[str, str] = {}
        self._deadlines: IndexedHeap[str, datetime] = IndexedHeap()
        self._lost_from: dict[str, str] = {}
        """Task whose lease expired and that no agent has taken since -> who held it."""
        self._lost_of: dict[str, dict[str, None]] = {}
        self._lost: dict[str, None] = {}
        self.floods = Floods()
        self._known: dict[str, tuple[object, Need]] = {}
        """By key: what a need was made from, and it."""

    def fill(self, state: PoolState) -> None:
        """Take over a state, where nothing was observed yet: looks at every live task once."""
        for task in state.tasks.values():
            self._place(task.task_id, task)
            self._place_deadline(task.task_id, task)
        for agent_id, agent in state.agents.items():
            if agent.status is AgentStatus.LOST:
                self._lost[agent_id] = None

    def observe(self, records: Sequence[Recorded], state: PoolState) -> None:
        """Follow acknowledged events; `state` is as it is after them."""
        self.floods.observe(records)
        tasks, kind_of, lost_from = state.tasks, self._kind_of, self._lost_from
        for recorded in records:
            task_id = recorded.entity_id
            if recorded.entity is Entity.TASK:
                kind = type(recorded.event)
                if kind in _ENTERS or task_id in kind_of or task_id in lost_from:
                    self._place(task_id, tasks.get(task_id))
                if kind in _SETS_DEADLINE or (kind in _ENDS and task_id in self._deadlines):
                    self._place_deadline(task_id, tasks.get(task_id))
            elif recorded.entity is Entity.AGENT:
                agent = state.agents.get(task_id)
                if agent is not None and agent.status is AgentStatus.LOST:
                    self._lost[task_id] = None
                else:
                    self._lost.pop(task_id, None)

    def needs(
        self, state: PoolState, now: datetime, health: ServiceHealth | None = None, *, most: int | None = None
    ) -> Needs:
        """Return what needs a person now. The cost follows the needs, the agents and the kinds of waiting tasks.

        `health`: what a poll of the service found; None: it is not polled. `most`: how many are listed; absent:
        `MAX_NEEDS`.
        """
        most = most or MAX_NEEDS
        state.indexes.backlog.advance(now)
        found: dict[str, Sequence[Need]] = dict.fromkeys(KINDS, ())
        down_since = None if health is None else health.failing_since
        if health is not None and down_since is not None and seconds_between(down_since, now) >= DOWN_AFTER_S:
            found["writer_down"] = [need_of_service(health, down_since)]
        total = len(found["writer_down"])
        for kind, task_ids in self._by_kind.items():
            listed = [self._task_need(kind, state.tasks[task_id]) for task_id in islice(task_ids, most)]
            found[kind] = sorted(listed, key=_since)
            total += len(task_ids)
        for kind, needs in (
            ("deadline", self._due_soon(state, now, most)),
            ("unworkable", list(islice(_unworkable(state), most))),
            ("lost_agent", list(self._lost_agents(state))),
            ("flood", [need_of_flood(each) for each in self.floods.now(now)]),
        ):
            found[kind] = needs
            total += len(needs)
        items = [need for kind in KINDS for need in found[kind]][:most]
        known = {need.key for need in items}
        self._known = {key: each for key, each in self._known.items() if key in known}
        return Needs(items, total - len(items))

    def _place(self, task_id: str, task: Task | None) -> None:
        kind = None if task is None else _kind_of(task)
        before = self._kind_of.get(task_id)
        if kind != before:
            if before is not None:
                del self._kind_of[task_id], self._by_kind[before][task_id]
            if kind is not None:
                self._kind_of[task_id] = kind
                self._by_kind.setdefault(kind, {})[task_id] = None
        lost_from = None
        if task is not None and task.late_token is not None and task.lease is None and task.last_lease is not None:
            lost_from = task.last_lease.agent_id
        held_before = self._lost_from.get(task_id)
        if lost_from != held_before:
            if held_before is not None:
                del self._lost_from[task_id], self._lost_of[held_before][task_id]
                if not self._lost_of[held_before]:
                    del self._lost_of[held_before]
            if lost_from is not None:
                self._lost_from[task_id] = lost_from
                self._lost_of.setdefault(lost_from, {})[task_id] = None

    def _place_deadline(self, task_id: str, task: Task | None) -> None:
        deadline = None if task is None else task.definition.deadline
        if deadline is None:
            self._deadlines.remove(task_id)
        else:
            self._deadlines.set(task_id, deadline)

    def _task_need(self, kind: str, task: Task) -> Need:
        key = f"{kind}:{task.task_id}"
        known = self._known.get(key)
        if known is not None and known[0] is task:
            return known[1]
        need = need_of_task(kind, key, task)
        self._known[key] = (task, need)
        return need

    def _due_soon(self, state: PoolState, now: datetime, most: int) -> list[Need]:
        limit = after(now, DEADLINE_S)
        taken: list[tuple[datetime, str]] = []
        while len(taken) < most and (first := self._deadlines.peek()) is not None and first[0] <= limit:
            taken.append(first)
            self._deadlines.remove(first[1])
        for deadline, task_id in taken:
            self._deadlines.set(task_id, deadline)
        return [self._task_need("deadline", state.tasks[task_id]) for _, task_id in taken]

    def _lost_agents(self, state: PoolState) -> Iterator[Need]:
        for agent_id in self._lost:
            held = state.held_by(agent_id)
            lost = self._lost_of.get(agent_id, ())
            if not held and not lost:
                continue
            agent = state.agents[agent_id]
            since = agent.heard_before_loss_at or agent.last_recorded_at or state.last_time
            said = [f"still holds {count(len(held), 'task')}"] if held else []
            if lost:
                said.append(f"{count(len(lost), 'task')} of it {'wait' if len(lost) > 1 else 'waits'} for another")
            yield Need(
                "lost_agent",
                f"lost_agent:{agent_id}",
                None,
                agent_id,
                since,
                f"{agent_id} is lost",
                "; ".join(said),
                actions=ACTIONS["lost_agent"] if held else (),
                task_ids=(*held, *lost)[:MAX_NAMED],
            )


_ENTERS = frozenset({ev.Quarantined, ev.Stuck, ev.Blocked, ev.Stalled, ev.Expired})
"""Events after which a task may need a person that did not before."""
_SETS_DEADLINE = frozenset({ev.Submitted, ev.Updated})
_ENDS = frozenset({ev.Completed, ev.Failed, ev.Cancelled})
_STATUSES = {
    TaskStatus.QUARANTINED: "quarantined",
    TaskStatus.STUCK: "stuck",
    TaskStatus.BLOCKED: "blocked",
}


def _since(need: Need) -> datetime:
    return need.since


def _kind_of(task: Task) -> str | None:
    """Return the kind of need that a task is, by its status and lease."""
    kind = _STATUSES.get(task.status)
    if kind is None and task.lease is not None and task.lease.stalled_at is not None:
        return "stalled"
    return kind


def unworkable_kinds(state: PoolState) -> Iterator[frozenset[str]]:
    """Yield the kinds of waiting tasks, by the capabilities they need, that no live agent has all of."""
    able = {agent.capabilities for agent in state.agents.values() if agent.status is AgentStatus.LIVE}
    for required in state.indexes.backlog.kinds():
        if not any(required <= capabilities for capabilities in able):
            yield required


def _unworkable(state: PoolState) -> Iterator[Need]:
    """Return a need for each kind of waiting tasks that no live agent has the capabilities for."""
    for required in unworkable_kinds(state):
        names = ", ".join(sorted(required))
        waiting = state.indexes.backlog.count(required)
        task_id = state.indexes.backlog.first_of(required)
        task = state.tasks[task_id]
        title = f"{count(waiting, 'task')} {'need' if waiting > 1 else 'needs'} {names or 'an agent'}"
        detail = f"no live agent has {'it' if len(required) == 1 else 'all of it'}" if required else "no agent is live"
        yield Need(
            "unworkable",
            f"unworkable:{names}",
            task_id if waiting == 1 else None,
            None,
            task.waits_since,
            title,
            detail,
            actions=ACTIONS["unworkable"],
            task_ids=(task_id,),
        )
