"""The entities that ended lately: kept in memory for a while, so that few commands and queries need the log."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from domain.agent import Agent
from domain.events import Entity
from domain.lifecycles import AgentStatus
from domain.steal import Steal
from domain.task import Task
from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from domain.entities import EntityKey, EntityState

RECENT_ENTITIES = 1_000
"""Ended tasks and agents that stay in memory; older ones are read from the log when a command names them."""
RECENT_STEALS = 1_000
"""Ended steal operations that stay in memory, however many tasks ended meanwhile and however old they are."""
STEALS_KEPT_S = 86_400.0
"""Those that ended so long before the last one, or less, stay too: those of the last day."""
MOST_STEALS = 10_000
"""No more stay, however many there were in a day."""


class EndedEntities:
    """Ended tasks and agents in the order in which they ended, and ended steals; the oldest leave first."""

    def __init__(self) -> None:
        self.recent: OrderedDict[EntityKey, EntityState] = OrderedDict()
        """Tasks and agents."""
        self.steals: OrderedDict[str, Steal] = OrderedDict()
        self.evicted_through = 0
        """The highest position of an ended entity that left memory; a look-up in the log that is newer misses none."""
        self.ended_through = 0
        """The highest position at which a task ended that left memory: all that ended later are in memory."""

    def task(self, task_id: str) -> Task | None:
        """Return a task that ended lately."""
        task = self.recent.get((Entity.TASK, task_id))
        return task if isinstance(task, Task) else None

    def agent(self, agent_id: str) -> Agent | None:
        """Return an agent that was deregistered lately."""
        agent = self.recent.get((Entity.AGENT, agent_id))
        return agent if isinstance(agent, Agent) else None

    def restore(self, key: EntityKey, entity: EntityState) -> None:
        """Take an entity over that a snapshot holds; called in their order."""
        if isinstance(entity, Steal):
            self.steals[key[1]] = entity
        else:
            self.recent[key] = entity

    def remember(self, key: EntityKey, entity: EntityState) -> None:
        """Keep a task or an agent that has ended, and drop the oldest ones."""
        self.recent[key] = entity
        self.recent.move_to_end(key)
        while len(self.recent) > RECENT_ENTITIES:
            _, evicted = self.recent.popitem(last=False)
            self.evicted_through = max(self.evicted_through, evicted.position)
            if isinstance(evicted, Task):
                self.ended_through = max(self.ended_through, ended_at(evicted))

    def remember_steal(self, steal: Steal) -> None:
        """Keep a steal that has ended, and drop the oldest ones."""
        ended = self.steals
        ended[steal.operation_id] = steal
        last = next(reversed(ended.values())).ended_at
        while len(ended) > RECENT_STEALS:
            first = next(iter(ended.values())).ended_at
            of_the_last_day = first is not None and last is not None and seconds_between(first, last) <= STEALS_KEPT_S
            if of_the_last_day and len(ended) <= MOST_STEALS:
                break
            ended.popitem(last=False)


def ended_at(task: Task) -> int:
    """Return the position of the event that ended a task."""
    return task.outcome.position if task.outcome is not None else task.position


def is_over(entity: EntityState) -> bool:
    """Return whether a task has ended, or an agent was deregistered."""
    if isinstance(entity, Task):
        return entity.terminal
    return isinstance(entity, Agent) and entity.status is AgentStatus.DEREGISTERED
