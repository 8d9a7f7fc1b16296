"""Leases by holder and agents by load: the indexes behind capacity, best-agent assignment and stealing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from domain.lifecycles import AgentStatus
from domain.policies.load_balancing import LoadStatus
from domain.timestamps import EPOCH
from projections.state.indexed_heap import IndexedHeap
from projections.state.unstarted import UnstartedTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from domain.agent import Agent
    from domain.policies.load_balancing import StealConfig
    from domain.task import Task

_Preference = tuple[int, int]

MAX_PASSED_OVER = 100
"""The most agents of one capability set that are asked about, for one that may receive a task."""

_MAX_ABLE_CACHED = 10_000
"""The most counts of able agents that are cached."""


class Workloads:
    """Leases by holder, in the order of their grants; available agents by capability set; agents by load status."""

    def __init__(self, config: StealConfig) -> None:
        """`config` says from what load on an agent is overloaded, and up to what it is underloaded."""
        self._config = config
        self.unstarted = UnstartedTasks()
        self._held: dict[str, IndexedHeap[str, int]] = {}
        self._ran_out: dict[str, None] = {}
        """Agents that came to hold nothing, or to take grants, since the last `take_ran_out`."""
        self._agents: dict[str, Agent] = {}
        self._available: dict[frozenset[str], IndexedHeap[str, _Preference]] = {}
        self._open: Counter[frozenset[str]] = Counter()
        """By capability set: how many agents take grants, whether they have room or not."""
        self._able: dict[frozenset[str], int] = {}
        """What `able_agents` returned since `_open` changed last."""
        self._loads: dict[str, LoadStatus] = {}
        self._load_times: IndexedHeap[str, datetime] = IndexedHeap()
        """When each cpu that counts was reported."""
        self._loads_since = EPOCH
        """Loads from before this moment count no more; the reads of `with_load` move it."""
        self._idle_lost: IndexedHeap[str, datetime] = IndexedHeap()
        """When each lost agent that holds nothing was last heard, by the record."""
        self._by_load: dict[LoadStatus, IndexedHeap[str, int]] = {status: IndexedHeap() for status in LoadStatus}

    def replace_task(self, task_id: str, old: Task | None, new: Task | None) -> None:
        """Follow one task from its old state to its new one."""
        self.unstarted.replace_task(task_id, old, new)
        before = old.lease if old is not None else None
        now = new.lease if new is not None else None
        if before is None and now is None:
            return
        if before is not None and now is not None and before.token == now.token:
            return
        if before is not None:
            held = self._held[before.agent_id]
            held.remove(task_id)
            if not held:
                del self._held[before.agent_id]
                self._ran_out[before.agent_id] = None
            self._place(before.agent_id)
        if now is not None:
            self._held.setdefault(now.agent_id, IndexedHeap()).set(task_id, now.token)
            self._place(now.agent_id)

    def replace_agent(self, agent_id: str, old: Agent | None, new: Agent | None) -> None:
        """Follow one agent from its old state to its new one."""
        before = old.capabilities if old is not None and old.accepts_grants else None
        now = new.capabilities if new is not None and new.accepts_grants else None
        if before != now:
            self._count_open(before, now)
        if before is None and now is not None:
            self._ran_out[agent_id] = None
        if old is not None:
            self._displace(old)
        if new is None:
            self._agents.pop(agent_id, None)
            self._ran_out.pop(agent_id, None)
            return
        self._agents[agent_id] = new
        self._place(agent_id)

    def held_by(self, agent_id: str) -> Sequence[str]:
        """Return the ids of the tasks that the agent holds, oldest grant first."""
        held = self._held.get(agent_id)
        return [task_id for task_id, _ in sorted(held.items(), key=_second)] if held else ()

    def count(self, agent_id: str) -> int:
        """Return how many tasks the agent holds."""
        held = self._held.get(agent_id)
        return len(held) if held else 0

    def best_agent(self, required: frozenset[str], may_receive: Callable[[Agent], bool] | None = None) -> str | None:
        """Return the available agent with every required capability and the best score.

        Among agents that have every capability the score 0.6/(tasks+1) + 0.4·share is highest where the fewest tasks
        are held; the first registered wins ties. Source: the work-stealing coordinator.

        `may_receive` is called for the first `MAX_PASSED_OVER` of each capability set at most, so that the cost does
        not grow with the pool; None: any agent may.
        """
        groups = (group for capabilities, group in self._available.items() if required <= capabilities)
        tops = (self._first(group, may_receive) for group in groups)
        return min((top for top in tops if top is not None), default=(None, None))[1]

    def _first(
        self, group: IndexedHeap[str, _Preference], may_receive: Callable[[Agent], bool] | None
    ) -> tuple[_Preference, str] | None:
        top = group.peek()
        if top is None or may_receive is None or may_receive(self._agents[top[1]]):
            return top
        return next((each for each in group.first(MAX_PASSED_OVER) if may_receive(self._agents[each[1]])), None)

    def able_agents(self, required: frozenset[str]) -> int:
        """Return how many agents take grants and have every required capability, whether they have room or not."""
        able = self._able.get(required)
        if able is None:
            able = sum(count for capabilities, count in self._open.items() if required <= capabilities)
            if len(self._able) >= _MAX_ABLE_CACHED:
                self._able.clear()
            self._able[required] = able
        return able

    def another_available(self, required: frozenset[str], agent_id: str) -> bool:
        """Return whether an agent other than this one takes grants, has room and has every required capability."""
        return any(
            required <= capabilities and len(group) > (agent_id in group)
            for capabilities, group in self._available.items()
        )

    def available_capabilities(self, agent_id: str) -> frozenset[str] | None:
        """Return the capabilities of an agent that takes grants and has room; None for any other."""
        agent = self._agents.get(agent_id)
        if agent is None or not agent.accepts_grants or self.count(agent_id) >= agent.capacity:
            return None
        return agent.capabilities

    def with_load(self, status: LoadStatus, loads_since: datetime) -> Sequence[str]:
        """Return the ids of the agents that take grants and have this load status, in registration order.

        Of the overloaded, those from which tasks may be stolen; they need not take grants. Loads reported before
        `loads_since` count no more.
        """
        self._outdate_loads(loads_since)
        return [agent_id for agent_id, _ in sorted(self._by_load[status].items(), key=_second)]

    @property
    def some_ran_out(self) -> bool:
        """Whether `take_ran_out` would return an agent."""
        return bool(self._ran_out)

    def take_ran_out(self) -> list[str]:
        """Return the agents that came to hold nothing, or to take grants, since the last call, in that order."""
        agents, self._ran_out = list(self._ran_out), {}
        return agents

    def idle(self, limit: int) -> list[str]:
        """Return at most `limit` agents that take grants and hold nothing."""
        found: list[str] = []
        for group in self._available.values():
            found += [agent_id for (count, _), agent_id in group.first(limit - len(found)) if not count]
        return found

    def with_room(self, limit: int) -> list[str]:
        """Return at most `limit` agents that take grants and have room, of each capability set the idlest first."""
        found: list[str] = []
        for group in self._available.values():
            found += [agent_id for _, agent_id in group.first(limit - len(found))]
        return found

    def next_outdated_load(self) -> datetime | None:
        """Return when the oldest of the loads that still count was reported."""
        first = self._load_times.peek()
        return None if first is None else first[0]

    def _outdate_loads(self, loads_since: datetime) -> None:
        went_back, self._loads_since = loads_since < self._loads_since, loads_since
        if went_back:
            # The wall clock was set back, which is rare: a load that is reported now must not count as outdated.
            for agent_id, agent in self._agents.items():
                self._place_load(agent, self.count(agent_id))
        while (first := self._load_times.peek()) is not None and first[0] < self._loads_since:
            self._load_times.remove(first[1])
            self._place_load(self._agents[first[1]], self.count(first[1]))

    def idle_lost(self, heard_before: datetime, limit: int) -> Sequence[str]:
        """Return at most `limit` lost agents that hold nothing and were last heard before the moment, oldest first."""
        return [agent_id for heard_at, agent_id in self._idle_lost.first(limit) if heard_at < heard_before]

    def holders(self) -> Iterable[str]:
        """Return the ids of all agents that hold something."""
        return self._held.keys()

    def anything_held(self) -> bool:
        """Return whether any lease is held in the pool."""
        return bool(self._held)

    def _count_open(self, before: frozenset[str] | None, now: frozenset[str] | None) -> None:
        self._able.clear()
        if now is not None:
            self._open[now] += 1
        if before is not None:
            self._open[before] -= 1
            if not self._open[before]:
                del self._open[before]

    def _displace(self, agent: Agent) -> None:
        group = self._available.get(agent.capabilities)
        if group is not None:
            group.remove(agent.agent_id)
            if not group:
                del self._available[agent.capabilities]
        self._load_times.remove(agent.agent_id)
        self._idle_lost.remove(agent.agent_id)
        load = self._loads.pop(agent.agent_id, None)
        if load is not None:
            self._by_load[load].remove(agent.agent_id)

    def _place(self, agent_id: str) -> None:
        agent = self._agents.get(agent_id)
        if agent is None:
            return
        count = self.count(agent_id)
        if agent.status is AgentStatus.LOST and agent.last_heard_at is not None and not count:
            self._idle_lost.set(agent_id, agent.last_heard_at)
        elif self._idle_lost:
            self._idle_lost.remove(agent_id)
        if agent.accepts_grants and count < agent.capacity:
            self._available.setdefault(agent.capabilities, IndexedHeap()).set(
                agent_id, (count, agent.registered_position)
            )
        elif (group := self._available.get(agent.capabilities)) is not None:
            group.remove(agent_id)
            if not group:
                del self._available[agent.capabilities]
        self._place_load(agent, count)

    def _place_load(self, agent: Agent, count: int) -> None:
        before = self._loads.get(agent.agent_id)
        cpu = agent.cpu_since(self._loads_since)
        if cpu and agent.load_at is not None:
            self._load_times.set(agent.agent_id, agent.load_at)
        status = self._config.load_status(count, cpu)
        shown = agent.may_be_stolen_from if status is LoadStatus.OVERLOADED else agent.accepts_grants
        if before is not None and (before is not status or not shown):
            self._by_load[before].remove(agent.agent_id)
            del self._loads[agent.agent_id]
        if shown:
            self._loads[agent.agent_id] = status
            self._by_load[status].set(agent.agent_id, agent.registered_position)


def _second(entry: tuple[str, int]) -> int:
    return entry[1]
