"""The line of waiting claims: first come, first served among the agents that can do a task."""

from __future__ import annotations

from itertools import islice
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
    """Parked claims by agent, by timeout, and by capability set while their agents can take a task.

    A claim that was woken in vain takes its old place again.
    """

    def __init__(self) -> None:
        self._last_place = 0
        """The place that was given out last."""
        self._jobs: dict[_Place, Job] = {}
        self._by_agent: dict[str, _Queue] = {}
        self._timeouts: IndexedHeap[_Place, Steady] = IndexedHeap()
        self._by_capabilities: dict[frozenset[str], _Queue] = {}
        self._offered_as: dict[str, frozenset[str]] = {}
        """Capabilities of the agents whose claims are in `_by_capabilities`."""

    def __len__(self) -> int:
        return len(self._jobs)

    def full(self, agent_id: str) -> bool:
        """Return whether no further claim of this agent may wait."""
        return len(self._jobs) >= MAX_WAITING or len(self._by_agent.get(agent_id, ())) >= MAX_WAITING_PER_AGENT

    def waits(self, agent_id: str) -> bool:
        """Return whether a claim of this agent waits."""
        return agent_id in self._by_agent

    def add(self, job: Job, until: Steady) -> None:
        """Keep a claim until it is taken out; `set_available` says whether its agent can take a task."""
        agent_id = job.request.agent_id or ""
        place = job.take_place(self._last_place + 1)
        self._last_place = max(self._last_place, place)
        self._jobs[place] = job
        self._by_agent.setdefault(agent_id, IndexedHeap()).set(place, place)
        self._timeouts.set(place, until)
        capabilities = self._offered_as.get(agent_id)
        if capabilities is not None:
            self._by_capabilities[capabilities].set(place, place)

    def set_available(self, agent_id: str, capabilities: frozenset[str] | None) -> None:
        """Offer tasks to an agent with these capabilities from now on; None: offer none, it cannot take one."""
        before, own = self._offered_as.get(agent_id), self._by_agent.get(agent_id)
        if before == capabilities or own is None:
            return
        if before is not None:
            queue = self._by_capabilities[before]
            for place in own:
                queue.remove(place)
            self._drop_if_empty(before)
            del self._offered_as[agent_id]
        if capabilities is not None:
            self._offered_as[agent_id] = capabilities
            queue = self._by_capabilities.setdefault(capabilities, IndexedHeap())
            for place in own:
                queue.set(place, place)

    def take_for_task(self, required: frozenset[str], *, except_agent: str | None = None) -> Job | None:
        """Take out the claim that has waited longest among those whose agents can take a task that requires this."""
        queues = [queue for capabilities, queue in self._by_capabilities.items() if required <= capabilities]
        places = [place for queue in queues if (place := self._first_place(queue, except_agent)) is not None]
        return self._take(min(places)) if places else None

    def _first_place(self, queue: _Queue, except_agent: str | None) -> _Place | None:
        if except_agent is None:
            first = queue.peek()
            return None if first is None else first[1]
        # At most so many claims are that agent's.
        for _, place in queue.first(MAX_WAITING_PER_AGENT + 1):
            if self._jobs[place].request.agent_id != except_agent:
                return place
        return None

    def wishes(self, limit: int) -> dict[str, int]:
        """Return how many tasks each agent's claims ask for; of `limit` claims at most, in the order of their waits."""
        wanted: dict[str, int] = {}
        for job in islice(self._jobs.values(), limit):
            agent_id = job.request.agent_id or ""
            wanted[agent_id] = wanted.get(agent_id, 0) + getattr(job.request.command, "max", 1)
        return wanted

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
        return [self._take(place) for place in sorted(queue)] if queue is not None else []

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
        agent_id = job.request.agent_id or ""
        self._timeouts.remove(place)
        capabilities = self._offered_as.get(agent_id)
        if capabilities is not None:
            self._by_capabilities[capabilities].remove(place)
        own = self._by_agent[agent_id]
        own.remove(place)
        if not own:
            del self._by_agent[agent_id]
            self._offered_as.pop(agent_id, None)
        if capabilities is not None:
            self._drop_if_empty(capabilities)
        return job

    def _drop_if_empty(self, capabilities: frozenset[str]) -> None:
        if not self._by_capabilities[capabilities]:
            del self._by_capabilities[capabilities]
