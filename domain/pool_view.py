"""What decisions may read: the pool's state, and indexes that find work and agents without a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.agent import Agent
    from domain.pool import Pool
    from domain.steal import Steal
    from domain.task import Task


class PoolView(Protocol):
    """The state of one pool at one position: tasks, agents and steals by name, and what an agent holds."""

    @property
    def position(self) -> int:
        """The position of the last event in this state; 0 for an empty log."""
        ...

    @property
    def pool(self) -> Pool:
        """The pool-level state."""
        ...

    def task(self, task_id: str) -> Task | None:
        """Return a task that is in memory: every live one, and finished ones that were loaded."""
        ...

    def agent(self, agent_id: str) -> Agent | None:
        """Return an agent that is in memory, deregistered ones included."""
        ...

    def steal(self, operation_id: str) -> Steal | None:
        """Return a steal operation that is in memory: every open one, and lately ended ones."""
        ...

    def held_by(self, agent_id: str) -> Sequence[str]:
        """Return the ids of the tasks that the agent holds, oldest grant first."""
        ...

    def tasks_held(self, agent_id: str) -> int:
        """Return how many tasks the agent holds."""
        ...

    def silence_s(self, agent_id: str) -> float | None:
        """Return for how many seconds the agent has not been heard, or None if that is unknown."""
        ...


class SearchablePoolView(PoolView, Protocol):
    """A pool's state with its indexes, for the commands that look for tasks or agents which they do not name."""

    def queued_for(self, agent: Agent, limit: int, now: datetime) -> Sequence[Task]:
        """Return the first queued tasks that the agent can do and whose time has come, at most `limit`.

        Most urgent first, then what the fewest agents can do, then in the order of submission. Left out is what should
        go to another agent first.
        """
        ...

    def lost_agents(self, heard_before: datetime, limit: int) -> Sequence[str]:
        """Return at most `limit` lost agents that hold nothing and were last heard before the moment, oldest first."""
        ...

    def best_agent(self, required: frozenset[str], may_receive: Callable[[Agent], bool]) -> str | None:
        """Return the agent to assign a task to, or None if no live agent with room has every capability.

        Only agents for which `may_receive` is true. It is called for the best ones in order, and for a bounded number.
        """
        ...
