"""What agents are asked to do with tasks that they no longer hold, or should hand over.

Built from acknowledged events. A directive repeats until its agent's next command on that task; forgetting one too
late only repeats it, so this is not part of the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.events import task as ev
from domain.events.agent import Deregistered
from domain.limits import MAX_DIRECTIVES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from domain.recorded import Recorded


class Directives:
    """Agent -> task -> reason to stop, the oldest dropped beyond `MAX_DIRECTIVES`."""

    def __init__(self) -> None:
        self._stops: dict[str, dict[str, str]] = {}

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events."""
        for recorded in records:
            if type(recorded.event) in _CONCERNED:
                self._observe(recorded)

    def _observe(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        kind = type(event)
        if kind in _GRANTS:
            self.obeyed(event.agent_id, recorded.entity_id)
        elif kind is Deregistered:
            self._stops.pop(recorded.entity_id, None)
        agent_id, reason = _STOPS[kind](event) if kind in _STOPS else (None, "")
        if agent_id is None:
            return
        stops = self._stops.setdefault(agent_id, {})
        stops.pop(recorded.entity_id, None)
        stops[recorded.entity_id] = reason
        if len(stops) > MAX_DIRECTIVES:
            del stops[next(iter(stops))]

    def obeyed(self, agent_id: str, task_id: str) -> None:
        """Drop the directive on a task: its agent was heard on it."""
        stops = self._stops.get(agent_id)
        if stops is not None:
            stops.pop(task_id, None)
            if not stops:
                del self._stops[agent_id]

    def dump(self) -> dict[str, dict[str, str]]:
        """Return everything as JSON has it; `loaded` takes it."""
        return {agent_id: dict(stops) for agent_id, stops in self._stops.items()}

    @classmethod
    def loaded(cls, dumped: Mapping[str, Mapping[str, str]]) -> Directives:
        """Return what `dump` gave; raises AttributeError, TypeError or ValueError where it is something else."""
        directives = cls()
        directives._stops = {agent_id: dict(stops.items()) for agent_id, stops in dumped.items()}
        return directives

    def stops(self, agent_id: str) -> list[dict[str, Any]]:
        """Return the agent's stop directives as the contract shows them."""
        stops = self._stops.get(agent_id, {})
        return [{"task_id": task_id, "do": "stop", "reason": reason} for task_id, reason in stops.items()]


_GRANTS = frozenset({ev.Leased, ev.Stolen})
_STOPS: dict[type, Callable[[Any], tuple[str | None, str]]] = {
    ev.Cancelled: lambda event: (event.agent_id, event.reason or "cancelled"),
    ev.Revoked: lambda event: (event.agent_id, event.reason or "revoked"),
    ev.Stolen: lambda event: (event.from_agent, f"moved to {event.agent_id}"),
    ev.Expired: lambda event: (event.agent_id, "your lease expired"),
    # A holder that failed knows; one that was failed by the sweeper is to be told.
    ev.Failed: lambda event: (event.agent_id if event.numbers is not None else None, event.error),
}
"""Who is to stop because of the event, and why; nobody where the holder itself let go."""
_CONCERNED = _GRANTS | _STOPS.keys() | {Deregistered}
"""By exact type: asking models for their class is slow, and this runs for every event."""
