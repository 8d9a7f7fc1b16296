"""Single tasks and agents of a followed pool with their histories; from the log, where they have left memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.agent import Agent
from domain.events import Entity
from domain.task import Task
from handlers.follower.histories import agent_histories, task_histories
from handlers.memory.lookup import Lookup

if TYPE_CHECKING:
    from handlers.follower.follower import Follower
    from handlers.follower.histories import AgentStory
    from projections.live.task_story import TaskStory
    from projections.state.pool_state import PoolState


class TaskCloseUp(NamedTuple):
    """A task, and what happened to it."""

    task: Task
    story: TaskStory


class AgentCloseUp(NamedTuple):
    """An agent, and what happened to it."""

    agent: Agent | None
    """None if it is not known any more what it was."""
    story: AgentStory


class CloseUps:
    """Close-ups of one log: what was read is kept, so a follower that began anew needs another one."""

    def __init__(self, follower: Follower) -> None:
        self.lookup = Lookup(follower.pool_id, follower.log, follower.codec)
        self._tasks = task_histories(self.lookup.reads)
        self._agents = agent_histories(self.lookup.reads)

    async def task(self, task_id: str, state: PoolState, *, past: bool = False) -> TaskCloseUp | None:
        """Return a task as it is in a state; None if it was not submitted by then.

        `past`: the state is not the log's end. Raises LogUnavailableError.
        """
        position, task = state.position, state.task(task_id)
        story = await self._tasks.of(task_id, position if past else None)
        if not past:
            # The present went on meanwhile, and the story with it; a state of the past may have been moved anywhere.
            task = state.task(task_id)
        if task is None:
            key = (Entity.TASK, task_id)
            found = await (self.lookup.task_at(task_id, position) if past else self.lookup.entity(key))
            task = found if isinstance(found, Task) else None
        return None if task is None or story is None else TaskCloseUp(task, story)

    async def agent(self, agent_id: str, state: PoolState, *, past: bool = False) -> AgentCloseUp | None:
        """Return an agent as it is in a state; None if it was not registered by then.

        `past`: the state is not the log's end. Raises LogUnavailableError.
        """
        agent = state.agent(agent_id)
        story = await self._agents.of(agent_id, state.position if past else None)
        if story is None:
            return None
        if not past:
            agent = state.agent(agent_id)
        if agent is None and not past:
            found = await self.lookup.entity((Entity.AGENT, agent_id))
            agent = found if isinstance(found, Agent) else None
        return AgentCloseUp(agent, story)
