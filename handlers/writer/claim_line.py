"""The line of waiting claims: first come, first served among the agents that can do a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from handlers.ports import Steady
    from handlers.writer.jobs import Job

MAX_WAITING = 10_000
"""Waiting claims in a pool."""
MAX_WAITING_PER_AGENT = 16

_Place = int
_Queue = IndexedHeap[_Place, _Place]


class ClaimLine:
    """Parked claims by capability set, by agent and by timeout.

    A claim that was woken in vain takes its old place again.
    """

    def __init__(self) -> None:
        self._last_place = 0
        self._jobs: dict[_Place, Job] = {}
        self._by_capabilities: dict[frozenset[str], _Queue] = {}
        self._capabilities: dict[_Place, frozenset[str]] = {}
        self._by_agent: dict[str, _Queue] = {}
        self._timeouts: IndexedHeap[_Place, Steady] = IndexedHeap()

    def __len__(self) -> int:
        return len(self._jobs)

    def full(self, agent_id: str) -> bool:
        """Return whether no further claim of this agent may wait."""
        return len(self._jobs) >= MAX_WAITING or len(self._by_agent.get(agent_id, ())) >= MAX_WAITING_PER_AGENT

    def add(self, job: Job, capabilities: frozenset[str], until: Steady) -> None:
        """Keep a claim until it is taken out."""
        place = job.take_place(self._last_place + 1)
        self._last_place = max(self._last_place, place)
        self._jobs[place] = job
        self._capabilities[place] = capabilities
        self._by_capabilities.setdefault(capabilities, IndexedHeap()).set(place, place)
        self._by_agent.setdefault(job.request.agent_id or "", IndexedHeap()).set(place, place)
        self._timeouts.set(place, until)

    def take_for_task(self, required: frozenset[str]) -> Job | None:
        """Take out the claim that has waited longest among those whose agents can do a task."""
        firsts = [queue.peek() for capabilities, queue in self._by_capabilities.items() if required <= capabilities]
        places = [first[1] for first in firsts if first is not None]
        return self._take(min(places)) if places else None

    def take_of_agent(self, agent_id: str) -> Job | None:
        """Take out the agent's claim that has waited longest."""
        queue = self._by_agent.get(agent_id)
        first = queue.peek() if queue is not None else None
        return self._take(first[1]) if first is not None else None

    def withdraw(self, job: Job) -> bool:
        """Take out a claim, if it still waits; return whether it did."""
        place = job.place
        if place is None or self._jobs.get(place) is not job:
            return False
        self._take(place)
        return True

    def take_all_of(self, agent_id: str) -> list[Job]:
        """Take out all claims of an agent, oldest first."""
        queue = self._by_agent.get(agent_id)
        return [self._take(place) for place, _ in sorted(queue.items())] if queue is not None else []

    def take_timed_out(self, now: Steady) -> list[Job]:
        """Take out the claims whose wait has ended."""
        found = []
        while (first := self._timeouts.peek()) is not None and first[0] <= now:
            found.append(self._take(first[1]))
        return found

    def next_timeout_at(self) -> Steady | None:
        """Return when the next claim's wait ends."""
        first = self._timeouts.peek()
        return None if first is None else first[0]

    def take_all(self) -> list[Job]:
        """Take out all claims, oldest first."""
        return [self._take(place) for place in sorted(self._jobs)]

    def _take(self, place: _Place) -> Job:
        job = self._jobs.pop(place)
        capabilities = self._capabilities.pop(place)
        queue = self._by_capabilities[capabilities]
        queue.remove(place)
        if not queue:
            del self._by_capabilities[capabilities]
        agent_id = job.request.agent_id or ""
        own = self._by_agent[agent_id]
        own.remove(place)
        if not own:
            del self._by_agent[agent_id]
        self._timeouts.remove(place)
        return job
