"""The events of a post-mortem, each with the state around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from domain.agent import Agent
    from domain.pool import Pool
    from domain.recorded import Recorded
    from domain.rules import Rules
    from domain.task import Task
    from projections.reports.explain import Candidate


class Availability(NamedTuple):
    """Which agents could take a queued task."""

    best_agent: str | None
    """The best by score of those that could; None if none could."""
    candidates: tuple[Candidate, ...]
    """If none could: every agent, with what stood in its way."""


class ObservedEvent(NamedTuple):
    """One event, with the state before and after it."""

    recorded: Recorded
    before: Task | None
    """The event's task before it; None for a new task, and for events about something else."""
    after: Task | None
    pool: Pool
    agent: Agent | None
    """The agent that it concerns, after it: for an event about a held task, the holder."""
    agent_tasks: int
    """How many tasks that agent held, including the event's own task."""
    availability: Availability | None
    """Who could have taken the task; None unless the event queued it, or failed it in the queue."""

    @property
    def position(self) -> int:
        """The event's position in the log."""
        return self.recorded.position

    @property
    def at(self) -> datetime:
        """The event's time."""
        return self.recorded.time


class CollectedEvents(NamedTuple):
    """Everything that a post-mortem is computed from."""

    events: tuple[ObservedEvent, ...]
    dropped: int
    """Older events of the scope that the limit left out."""
    idle: dict[str, Task]
    """Tasks that were held all the time without an event; not all of them if there are many."""
    idle_omitted: int
    """How many such tasks were left out."""
    rules: Rules
