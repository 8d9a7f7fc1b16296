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


FIRST_LED = 2
"""The pool's version at the first `led` of a new log, right after `opened`."""


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
    def changes_holder(self) -> bool:
        """Whether the event's task is held under another token after it, or no longer, or only then."""
        before, after = self.before, self.after
        return (None if before is None else before.token) != (None if after is None else after.token)

    @property
    def at(self) -> datetime:
        """The event's time."""
        return self.recorded.time


FLOOD_EVENTS = 500
"""Fewer events of one kind by one actor are no flood."""
FLOOD_BURST = 200
"""Events within `BURST_S`; with fewer, they are a flood if they are half of all events."""
BURST_S = 10


class Repeated(NamedTuple):
    """How often one actor wrote one kind of event, whether all of them are kept or not."""

    name: str
    actor: str
    number: int
    burst: int
    """The most of them within `BURST_S`, counted from one round time to the next."""
    first: ObservedEvent
    last: ObservedEvent


class CollectedEvents(NamedTuple):
    """Everything that a post-mortem is computed from."""

    events: tuple[ObservedEvent, ...]
    dropped: int
    """Events of the scope that the limit left out: repeats first, then the older ordinary ones."""
    idle: dict[str, Task]
    """Tasks that were held all the time without an event; not all of them if there are many."""
    idle_omitted: int
    """How many such tasks were left out."""
    rules: Rules
    repeated: tuple[Repeated, ...] = ()
    """Every kind of event by every actor, the most frequent first."""
