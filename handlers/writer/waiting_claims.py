"""Claims that wait for work, found by what their agents can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.actors import agent_actor
from domain.events import Entity
from domain.events.agent import Deregistered, Lost, Registered
from domain.events.task import Leased, Requeued, Stolen, Submitted
from domain.lease_documents import lease_document
from domain.lifecycles import TaskStatus
from domain.task import Task
from handlers.writer.jobs import Answer
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from domain.draft import Decision
    from domain.recorded import Recorded
    from handlers.writer.agent_liveness import Presence
    from handlers.writer.jobs import Job

MAX_WAITING = 10_000
"""Waiting claims in a pool."""
MAX_WAITING_PER_AGENT = 16

_Serial = int
_Line = IndexedHeap[_Serial, _Serial]


class WaitingClaims:
    """Parked jobs, first come first served among the agents that can do a task.

    A claim that was woken in vain takes its old place again.
    """

    def __init__(self) -> None:
        self._serial = 0
        self._jobs: dict[_Serial, Job] = {}
        self._by_capabilities: dict[frozenset[str], _Line] = {}
        self._capabilities: dict[_Serial, frozenset[str]] = {}
        self._by_agent: dict[str, _Line] = {}
        self._deadlines: IndexedHeap[_Serial, datetime] = IndexedHeap()

    def __len__(self) -> int:
        return len(self._jobs)

    def full(self, agent_id: str) -> bool:
        """Return whether no further claim of this agent may wait."""
        return len(self._jobs) >= MAX_WAITING or len(self._by_agent.get(agent_id, ())) >= MAX_WAITING_PER_AGENT

    def park(self, job: Job, capabilities: frozenset[str], until: datetime) -> None:
        """Keep a claim until work comes or its patience ends."""
        if job.place is None:
            self._serial += 1
            job.place = self._serial
        serial = job.place
        self._jobs[serial] = job
        self._capabilities[serial] = capabilities
        self._by_capabilities.setdefault(capabilities, IndexedHeap()).set(serial, serial)
        self._by_agent.setdefault(job.request.agent_id or "", IndexedHeap()).set(serial, serial)
        self._deadlines.set(serial, until)

    def for_task(self, required: frozenset[str]) -> Job | None:
        """Take out the claim that has waited longest among those whose agents can do a task."""
        firsts = [line.peek() for capabilities, line in self._by_capabilities.items() if required <= capabilities]
        return self._take(min(serial for first in firsts if first is not None for serial in first)) if firsts else None

    def of_agent(self, agent_id: str) -> Job | None:
        """Take out the agent's claim that has waited longest."""
        line = self._by_agent.get(agent_id)
        first = line.peek() if line is not None else None
        return self._take(first[1]) if first is not None else None

    def withdraw(self, job: Job) -> bool:
        """Take out a claim, if it still waits; return whether it did."""
        waits = job.place is not None and self._jobs.get(job.place) is job
        if waits and job.place is not None:
            self._take(job.place)
        return waits

    def all_of(self, agent_id: str) -> list[Job]:
        """Take out all claims of an agent, oldest first."""
        line = self._by_agent.get(agent_id)
        return [self._take(serial) for serial, _ in sorted(line.items())] if line is not None else []

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

    def everything(self) -> list[Job]:
        """Take out all claims, oldest first."""
        return [self._take(serial) for serial in sorted(self._jobs)]

    def _take(self, serial: _Serial) -> Job:
        job = self._jobs.pop(serial)
        capabilities = self._capabilities.pop(serial)
        line = self._by_capabilities[capabilities]
        line.remove(serial)
        if not line:
            del self._by_capabilities[capabilities]
        agent_id = job.request.agent_id or ""
        mine = self._by_agent[agent_id]
        mine.remove(serial)
        if not mine:
            del self._by_agent[agent_id]
        self._deadlines.remove(serial)
        return job


def end_wait(job: Job, position: int) -> None:
    """Answer a waiting claim that no work came for."""
    job.done(Answer(position, job.prior, {"leases": []}, None))


_AGENT_CHANGES = frozenset({Registered, Deregistered, Lost})
_WORK = frozenset({Submitted, Requeued})
_GRANTS = frozenset({Leased, Stolen})
_CONCERNED = _AGENT_CHANGES | _WORK | _GRANTS


def stirs(records: Sequence[Recorded]) -> bool:
    """Return whether a claim that waits may be woken or answered by these events."""
    # By exact type: on models isinstance is slow, and this runs for every event.
    return not _CONCERNED.isdisjoint([type(recorded.event) for recorded in records])


class Waker:
    """Lets waiting claims follow what was acknowledged: work came, was given, or an agent changed."""

    def __init__(self, waiting: WaitingClaims, presence: Presence) -> None:
        self._waiting = waiting
        self._presence = presence

    def follow(self, decisions: Iterable[Decision], position: int) -> list[Job]:
        """Follow acknowledged decisions that end at `position`; return the claims to be decided again, in order.

        What was given goes first: a claim that is answered by it needs no other work.
        """
        woken: list[Job] = []
        work: list[Task] = []
        for decision in decisions:
            for recorded in decision.records:
                kind = type(recorded.event)
                if kind not in _CONCERNED:
                    continue
                if kind in _AGENT_CHANGES:
                    woken += self._agent_changed(recorded, position)
                elif len(self._waiting):
                    task = decision.after.get((Entity.TASK, recorded.entity_id))
                    if isinstance(task, Task) and task.status is TaskStatus.QUEUED:
                        work.append(task)
                    elif isinstance(task, Task):
                        self._given(recorded, task, position)
        for task in work:
            job = self._waiting.for_task(frozenset(task.definition.required_capabilities))
            if job is not None:
                woken.append(job)
        return woken

    def _agent_changed(self, recorded: Recorded, position: int) -> list[Job]:
        agent_id = recorded.entity_id
        if isinstance(recorded.event, Registered):
            self._presence.heard(agent_id, recorded.time)
        else:
            self._presence.forget(agent_id)
        jobs = self._waiting.all_of(agent_id)
        if not isinstance(recorded.event, Lost):
            return jobs
        for job in jobs:
            # Deciding it again would revive an agent that said nothing.
            end_wait(job, position)
        return []

    def _given(self, recorded: Recorded, task: Task, position: int) -> None:
        lease = task.lease
        if lease is None or lease.token != recorded.position or recorded.actor == agent_actor(lease.agent_id):
            return
        job = self._waiting.of_agent(lease.agent_id)
        if job is not None:
            job.done(Answer(position, job.prior, {"leases": [lease_document(task, recorded.time)]}, None))
