"""A pool's entities at one position, and what decisions, background work and queries read of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import Entity
from domain.pool import Pool
from domain.timestamps import EPOCH
from projections.state.ended_entities import EndedEntities
from projections.state.indexes import Indexes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from domain.agent import Agent
    from domain.entities import EntityKey, EntityState
    from domain.rules import Rules
    from domain.steal import Steal
    from domain.task import Task
    from projections.state.workloads import Workloads


class SearchableState:
    """Live and lately ended entities with their indexes; implements the domain's `SearchablePoolView`.

    It only reads; what changes it is `PoolState`.
    """

    def __init__(self, pool_id: str, rules: Rules) -> None:
        self.rules = rules
        self.position = 0
        self.last_time: datetime = EPOCH
        self.pool = Pool(pool_id)
        self.tasks: dict[str, Task] = {}
        self.agents: dict[str, Agent] = {}
        self.steals: dict[str, Steal] = {}
        self.ended = EndedEntities()
        self.just_ended: dict[str, Task] = {}
        """Tasks that ended in the last `fold_all` or `commit`, also those that have left memory by now."""
        self.indexes = Indexes(rules, self.tasks)
        self.silence_of: Callable[[str], float | None] = _unknown_silence
        """How long each agent has been silent now. No part of the state: the writer knows it, the log does not."""
        self._drain_deadlines: dict[str, datetime] = {}
        """Of the agents that drain and have one."""
        self._committed = (0, self.last_time)

    @property
    def committed_position(self) -> int:
        """The position up to which the log has acknowledged what is here."""
        return self._committed[0]

    def task(self, task_id: str) -> Task | None:
        """Return a task that is in memory: every live one, and lately ended ones."""
        return self.tasks.get(task_id) or self.ended.task(task_id)

    def agent(self, agent_id: str) -> Agent | None:
        """Return an agent that is in memory: every registered one, and lately deregistered ones."""
        return self.agents.get(agent_id) or self.ended.agent(agent_id)

    def steal(self, operation_id: str) -> Steal | None:
        """Return a steal operation that is in memory: every open one, and lately ended ones."""
        return self.steals.get(operation_id) or self.ended.steals.get(operation_id)

    @property
    def workloads(self) -> Workloads:
        """What policies of stealing read."""
        return self.indexes.workloads

    def held_by(self, agent_id: str) -> Sequence[str]:
        """Return the ids of the tasks that the agent holds, oldest grant first."""
        return self.workloads.held_by(agent_id)

    def tasks_held(self, agent_id: str) -> int:
        """Return how many tasks the agent holds."""
        return self.workloads.count(agent_id)

    def queued_for(self, agent: Agent, limit: int, now: datetime) -> Sequence[Task]:
        """Return the first queued tasks that the agent can do and whose time has come, at most `limit`."""
        self.indexes.backlog.advance(now)
        return [self.tasks[task_id] for task_id in self.indexes.backlog.first(agent, limit, self.workloads)]

    def left_to_others(self, required: frozenset[str]) -> str | None:
        """Return the agent that is granted no task of a kind now, because each should go to another, available one."""
        agent_id = self.indexes.backlog.avoided_by_all(required)
        if agent_id is None or not self.workloads.another_available(required, agent_id):
            return None
        return agent_id

    def best_agent(self, required: frozenset[str], may_receive: Callable[[Agent], bool] | None = None) -> str | None:
        """Return the agent to assign a task to, or None if no live agent with room has every capability.

        Only agents for which `may_receive` is true; None: any.
        """
        return self.workloads.best_agent(required, may_receive)

    def silence_s(self, agent_id: str) -> float | None:
        """Return for how many seconds the agent has not been heard, or None if that is unknown."""
        return self.silence_of(agent_id)

    def available_capabilities(self, agent_id: str) -> frozenset[str] | None:
        """Return the capabilities of an agent that takes grants and has room; None for any other."""
        return self.workloads.available_capabilities(agent_id)

    def lost_agents(self, heard_before: datetime, limit: int) -> Sequence[str]:
        """Return at most `limit` lost agents that hold nothing and were last heard before the moment, oldest first."""
        return self.workloads.idle_lost(heard_before, limit)

    def due(self, now: datetime, limit: int) -> Sequence[str]:
        """Return the ids of at most `limit` tasks on which a judgement is due."""
        return self.indexes.due_times.due(now, limit, self.pool)

    def settle_due(self, now: datetime) -> bool:
        """Do a part of what `due` would have to do first; return whether there may be more of it."""
        return self.indexes.due_times.settle(now, self.pool)

    def next_due_at(self) -> datetime | None:
        """Return the moment at which the next judgement falls due, or an earlier one while there is much to settle."""
        return self.indexes.due_times.next_at(self.pool)

    def drains_to_end(self) -> Sequence[tuple[datetime, str]]:
        """Return the draining agents that hold something and have a deadline, with it; the first one first."""
        return sorted((at, agent_id) for agent_id, at in self._drain_deadlines.items() if self.tasks_held(agent_id))

    def may_fall_due_before(self, moment: datetime) -> bool:
        """Return whether a judgement may fall due before the moment; cheap, and never wrong when it says no."""
        return self.indexes.due_times.may_fall_due_before(moment)

    def ended_task(self, task_id: str) -> Task | None:
        """Return a task that an event ended which was acknowledged last.

        One that a later event ended, which is not acknowledged yet, may have left the live tasks before.
        """
        return self.just_ended.get(task_id) or self.task(task_id)

    def knows_all(self, keys: Iterable[EntityKey]) -> bool:
        """Return whether all of these entities are in memory."""
        tasks, agents = self.tasks, self.agents
        for key in keys:
            entity, entity_id = key
            if (entity is Entity.TASK and entity_id in tasks) or (entity is Entity.AGENT and entity_id in agents):
                continue
            if not self.knows(key):
                return False
        return True

    def knows(self, key: EntityKey) -> bool:
        """Return whether an entity is in memory."""
        entity, entity_id = key
        if entity is Entity.TASK:
            return entity_id in self.tasks or key in self.ended.recent
        if entity is Entity.AGENT:
            return entity_id in self.agents or key in self.ended.recent
        return self._get(key) is not None

    def entities(self) -> Mapping[EntityKey, EntityState]:
        """Return every entity in memory by key, for comparing states."""
        return {
            **{(Entity.TASK, key): task for key, task in self.tasks.items()},
            **{(Entity.AGENT, key): agent for key, agent in self.agents.items()},
            **{(Entity.STEAL, key): steal for key, steal in self.steals.items()},
            **{(Entity.STEAL, key): steal for key, steal in self.ended.steals.items()},
            **self.ended.recent,
            (Entity.POOL, self.pool.pool_id): self.pool,
        }

    def _get(self, key: EntityKey) -> EntityState | None:
        entity, entity_id = key
        if entity is Entity.TASK:
            return self.task(entity_id)
        if entity is Entity.AGENT:
            return self.agent(entity_id)
        if entity is Entity.STEAL:
            return self.steal(entity_id)
        return self.pool


def _unknown_silence(agent_id: str) -> None:  # noqa: ARG001 - of no agent it is known
    return None
