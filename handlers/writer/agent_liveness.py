"""When each agent was last heard. Most commands leave no event, so this is kept in memory and not in the log.

After a start nothing is known, so an agent's silence counts from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.timestamps import TICK, seconds_between
from handlers.ports import Steady, steadily_after
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class AgentLiveness:
    """Agents by the moment at which they count as lost."""

    def __init__(self, lost_after_s: float) -> None:
        self._lost_after_s = lost_after_s
        self._silent_since: dict[str, Steady] = {}
        self._heard_at: dict[str, datetime] = {}
        self._checks: IndexedHeap[str, Steady] = IndexedHeap()
        """A lower bound of the moment at which each agent counts as lost; a sign of life leaves it where it is."""

    def __len__(self) -> int:
        return len(self._silent_since)

    def watch(self, agent_id: str, now: Steady) -> None:
        """Count an agent's silence from now, without a sign of life."""
        self._silent_since[agent_id] = now
        if agent_id not in self._checks:
            self._checks.set(agent_id, self._lost_at(now))

    def heard(self, agent_id: str, now: Steady, at: datetime) -> None:
        """Note a sign of life, at a time of the wall clock."""
        self.watch(agent_id, now)
        self._heard_at[agent_id] = at

    def forget(self, agent_id: str) -> None:
        """Stop watching an agent: it left, or counts as lost already."""
        self._silent_since.pop(agent_id, None)
        self._heard_at.pop(agent_id, None)
        self._checks.remove(agent_id)

    def heard_at(self, agent_id: str) -> datetime | None:
        """Return when the agent was last heard, or None if it was not heard since the start."""
        return self._heard_at.get(agent_id)

    def silence_at(self, now: Steady) -> Callable[[str], float | None]:
        """Return a function from an agent to the seconds since it was last heard.

        None: it was not heard since the start, so what the log says of it counts.
        """
        heard_at, silent_since = self._heard_at, self._silent_since

        def silence_of(agent_id: str) -> float | None:
            return seconds_between(silent_since[agent_id], now) if agent_id in heard_at else None

        return silence_of

    def silent(self, now: Steady) -> list[tuple[str, float]]:
        """Return the agents that count as lost now, with their silence in seconds.

        They stay watched until they are forgotten, and are returned again later if nothing comes of it.
        """
        found: list[tuple[str, float]] = []
        while (first := self._checks.peek()) is not None and first[0] <= now:
            agent_id = first[1]
            since = self._silent_since[agent_id]
            lost_at = self._lost_at(since)
            if lost_at <= now:
                found.append((agent_id, seconds_between(since, now)))
                lost_at = self._lost_at(now)
            self._checks.set(agent_id, lost_at)
        return found

    def is_silent(self, agent_id: str, now: Steady) -> bool:
        """Return whether the agent counts as lost now."""
        since = self._silent_since.get(agent_id)
        return since is not None and self._lost_at(since) <= now

    def reset_all(self, now: Steady) -> None:
        """Count every agent's silence from now: no agent could be heard, so no agent's silence is known."""
        for agent_id in self._silent_since:
            self._silent_since[agent_id] = now

    def next_at(self) -> Steady | None:
        """Return a moment before which no agent becomes lost."""
        first = self._checks.peek()
        return None if first is None else first[0]

    def _lost_at(self, since: Steady) -> Steady:
        return Steady(steadily_after(since, self._lost_after_s) + TICK)
