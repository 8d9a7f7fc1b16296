"""Directives to agents: which tasks they must stop working on, because they no longer hold them.

Built from acknowledged events. A directive repeats until the agent's next command on that task has its answer. One that
is dropped too late is only repeated, so this is not part of the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from domain.actors import acting_agent
from domain.events import task as ev
from domain.events.agent import Deregistered
from domain.limits import MAX_DIRECTIVES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from domain.recorded import Recorded


class Stop(NamedTuple):
    """Why an agent must stop working on a task, and the position of the event that took the task from it."""

    position: int
    reason: str


class Directives:
    """Agent -> task -> stop, the oldest dropped beyond `MAX_DIRECTIVES`."""

    def __init__(self) -> None:
        self._stops: dict[str, dict[str, Stop]] = {}

    def __bool__(self) -> bool:
        return bool(self._stops)

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events."""
        for recorded in records:
            if type(recorded.event) in _RELEVANT:
                self._observe(recorded)

    def _observe(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        kind = type(event)
        if kind in _GRANTS:
            self.obeyed(event.agent_id, recorded.entity_id, recorded.position)
        elif kind is Deregistered:
            self._stops.pop(recorded.entity_id, None)
        agent_id, reason = _STOPS[kind](event) if kind in _STOPS else (None, "")
        if agent_id is None or acting_agent(recorded.actor) == agent_id:
            # The agent gave the task up itself, so it needs no directive.
            return
        stops = self._stops.setdefault(agent_id, {})
        stops.pop(recorded.entity_id, None)
        stops[recorded.entity_id] = Stop(recorded.position, reason)
        if len(stops) > MAX_DIRECTIVES:
            del stops[next(iter(stops))]

    def obeyed(self, agent_id: str, task_id: str, position: int) -> None:
        """Drop the directive on a task: its agent sent a command on it that was decided on the state at a position.

        A directive that a later event made stays, for the agent does not know of it.
        """
        stops = self._stops.get(agent_id)
        stop = stops.get(task_id) if stops is not None else None
        if stops is not None and stop is not None and stop.position <= position:
            del stops[task_id]
            if not stops:
                del self._stops[agent_id]

    def dump(self) -> dict[str, dict[str, Stop]]:
        """Return everything as JSON has it; `loaded` takes it."""
        return {agent_id: dict(stops) for agent_id, stops in self._stops.items()}

    @classmethod
    def loaded(cls, dumped: Mapping[str, Mapping[str, tuple[int, str]]]) -> Directives:
        """Return what `dump` gave; raises AttributeError, TypeError or ValueError where it is something else."""
        directives = cls()
        directives._stops = {
            agent_id: {task_id: Stop(int(position), reason) for task_id, (position, reason) in stops.items()}
            for agent_id, stops in dumped.items()
        }
        return directives

    def stops(self, agent_id: str) -> list[dict[str, Any]]:
        """Return the agent's stop directives as the contract shows them."""
        stops = self._stops.get(agent_id, {})
        return [{"task_id": task_id, "do": "stop", "reason": stop.reason} for task_id, stop in stops.items()]


_GRANTS = frozenset(get_args(ev.Grant))
_STOPS: dict[type, Callable[[Any], tuple[str | None, str]]] = {
    ev.Cancelled: lambda event: (event.agent_id, event.reason or "cancelled"),
    ev.Revoked: lambda event: (event.agent_id, event.reason or "revoked"),
    ev.Stolen: lambda event: (event.from_agent, f"moved to {event.agent_id}"),
    ev.Expired: lambda event: (event.agent_id, "your lease expired"),
    ev.Failed: lambda event: (event.agent_id, event.error),
    ev.Requeued: lambda event: (event.agent_id, event.error or "failed"),
    ev.Quarantined: lambda event: (event.agent_id, event.error or "failed"),
    ev.Completed: lambda event: (event.agent_id, "completed by an operator"),
    ev.Blocked: lambda event: (event.agent_id, f"blocked: {event.reason}"),
}
"""Which agent held the task until the event, and why it must stop; None where none held it."""
_RELEVANT = _GRANTS | _STOPS.keys() | {Deregistered}
"""By exact type: asking models for their class is slow, and this runs for every event."""
