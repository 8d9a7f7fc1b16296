"""Claims that wait for work, found by what their agents can do."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from domain.events import Entity
from domain.events.agent import Deregistered, Lost, Registered
from domain.events.task import Leased, Requeued, Stolen, Submitted
from domain.lifecycles import TaskStatus
from domain.task import Task
from domain.terms import lease_document
from handlers.jobs import Answer
from projections.heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from domain.draft import Decision
    from domain.recorded import Recorded
    from handlers.jobs import Job
    from handlers.presence import Presence

MAX_WAITING = 10_000
"""Waiting claims in a pool."""
MAX_WAITING_PER_AGENT = 16

_Serial = int


class WaitingClaims:
    """Parked jobs, first come first served among the agents that can do a task."""

    def __init__(self) -> None:
        self._serial = 0
        self._jobs: dict[_Serial, Job] = {}
        self._by_capabilities: dict[frozenset[str], OrderedDict[_Serial, None]] = {}
        self._capabilities: dict[_Serial, frozenset[str]] = {}
        self._by_agent: dict[str, OrderedDict[_Serial, None]] = {}
        self._deadlines: IndexedHeap[_Serial, datetime] = IndexedHeap()

    def __len__(self) -> int:
        return len(self._jobs)

    def full(self, agent_id: str) -> bool:
        """Return whether no further claim of this agent may wait."""
        return len(self._jobs) >= MAX_WAITING or len(self._by_agent.get(agent_id, ())) >= MAX_WAITING_PER_AGENT

    def park(self, job: Job, capabilities: frozenset[str], until: datetime) -> None:
        """Keep a claim until work comes or its patience ends."""
        self._serial += 1
        serial = self._serial
        self._jobs[serial] = job
        self._capabilities[serial] = capabilities
        self._by_capabilities.setdefault(capabilities, OrderedDict())[serial] = None
        self._by_agent.setdefault(job.request.agent_id or "", OrderedDict())[serial] = None
        self._deadlines.set(serial, until)

    def for_task(self, required: frozenset[str]) -> Job | None:
        """Take out the claim that has waited longest among those whose agents can do a task."""
        serials = [
            next(iter(group)) for capabilities, group in self._by_capabilities.items() if required <= capabilities
        ]
        return self._take(min(serials)) if serials else None

    def of_agent(self, agent_id: str) -> Job | None:
        """Take out the agent's claim that has waited longest."""
        serials = self._by_agent.get(agent_id)
        return self._take(next(iter(serials))) if serials else None

    def all_of(self, agent_id: str) -> list[Job]:
        """Take out all claims of an agent, oldest first."""
        return [self._take(serial) for serial in list(self._by_agent.get(agent_id, ()))]

    def expired(self, now: datetime) -> list[Job]:
        """Take out the claims whose patience has ended."""
        found = []
        while (first := self._deadlines.peek()) is not None and first[0] <= now:
            found.append(self._take(first[1]))
        return found

    def next_at(self) -> datetime | None:
        """Return when the next claim's patience ends."""
        first = self._deadlines.peek()
        return None if first is None else first[0]

    def everything(self) -> Iterable[Job]:
        """Take out all claims."""
        return [self._take(serial) for serial in list(self._jobs)]

    def _take(self, serial: _Serial) -> Job:
        job = self._jobs.pop(serial)
        capabilities = self._capabilities.pop(serial)
        group = self._by_capabilities[capabilities]
        del group[serial]
        if not group:
            del self._by_capabilities[capabilities]
        agent_id = job.request.agent_id or ""
        mine = self._by_agent[agent_id]
        del mine[serial]
        if not mine:
            del self._by_agent[agent_id]
        self._deadlines.remove(serial)
        return job


_AGENT_CHANGES = frozenset({Registered, Deregistered, Lost})
_WORK = frozenset({Submitted, Requeued})
_GRANTS = frozenset({Leased, Stolen})
_CONCERNED = _AGENT_CHANGES | _WORK | _GRANTS


class Waker:
    """Lets waiting claims follow what was acknowledged: work came, was given, or an agent changed."""

    def __init__(self, waiting: WaitingClaims, presence: Presence, resubmit: Callable[[Job], None]) -> None:
        self._waiting = waiting
        self._presence = presence
        self._resubmit = resubmit

    def follow(self, decision: Decision, position: int) -> None:
        """Follow one acknowledged decision; `position` is where its group ends."""
        for recorded in decision.records:
            # By exact type: on models isinstance is slow, and this runs for every event.
            kind = type(recorded.event)
            if kind not in _CONCERNED:
                continue
            if kind in _AGENT_CHANGES:
                self._agent_changed(recorded)
            elif len(self._waiting):
                task = decision.after.get((Entity.TASK, recorded.entity_id))
                if isinstance(task, Task):
                    self._task_changed(recorded, task, position)

    def _agent_changed(self, recorded: Recorded) -> None:
        agent_id = recorded.entity_id
        if isinstance(recorded.event, Registered):
            self._presence.heard(agent_id, recorded.time)
        else:
            self._presence.forget(agent_id)
        for job in self._waiting.all_of(agent_id):
            self._resubmit(job)

    def _task_changed(self, recorded: Recorded, task: Task, position: int) -> None:
        if task.status is TaskStatus.QUEUED:
            job = self._waiting.for_task(frozenset(task.definition.required_capabilities))
            if job is not None:
                self._resubmit(job)
        elif task.lease is not None and task.lease.token == recorded.position:
            agent_id = task.lease.agent_id
            if recorded.actor == f"agent/{agent_id}":
                return
            job = self._waiting.of_agent(agent_id)
            if job is not None:
                job.done(Answer(position, job.prior, {"leases": [lease_document(task, recorded.time)]}, None))
