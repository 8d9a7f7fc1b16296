"""The latest notable events in words, and the latest steals."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from domain.actors import acting_agent
from domain.events import Entity
from domain.events import agent as ag
from domain.events import task as ev
from domain.timestamps import format_timestamp
from projections.reports.wording import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import Event
    from domain.recorded import Recorded

KEPT = 50
QUIET: frozenset[type[Event]] = frozenset({ev.Progressed, ev.Renewed, ev.Started, ag.Heartbeat, ag.LoadReported})
"""Left out: they come all the time, and the rows of agents and tasks show them."""


class Recent:
    """The latest notable events, the latest first."""

    def __init__(self) -> None:
        self._latest: deque[Recorded] = deque(maxlen=KEPT)
        self.changed = True
        """Whether `lines` has changed since this was last set to False."""

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events."""
        notable = [recorded for recorded in records if type(recorded.event) not in QUIET]
        if notable:
            self._latest.extend(notable)
            self.changed = True

    def lines(self) -> list[dict[str, Any]]:
        """Return `event_line` of each, the latest first."""
        return [event_line(recorded) for recorded in reversed(self._latest)]


def event_line(recorded: Recorded) -> dict[str, Any]:
    """Return an event as `{position, at, kind, text, actor, task_id, agent_id}`; `kind` is such as `task.leased`."""
    return {
        "position": recorded.position,
        "at": format_timestamp(recorded.time),
        "kind": f"{recorded.entity.value}.{recorded.name}",
        "text": describe(recorded.event),
        "actor": recorded.actor,
        "task_id": recorded.entity_id if recorded.entity is Entity.TASK else None,
        "agent_id": agent_of(recorded),
    }


def agent_of(recorded: Recorded) -> str | None:
    """Return the agent that an event is about, or that caused it; None if there is none."""
    if recorded.entity is Entity.AGENT:
        return recorded.entity_id
    named: str | None = getattr(recorded.event, "agent_id", None)
    return named if named is not None else acting_agent(recorded.actor)
