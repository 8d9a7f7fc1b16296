"""When each agent was last heard. Most commands leave no event, so this is kept in memory and not in the log.

After a start nothing is known, so the start counts as the last sign of life of every agent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.timestamps import TICK, after, seconds_between
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from datetime import datetime


class AgentLiveness:
    """Agents by the moment at which they count as lost."""

    def __init__(self, lost_after_s: float) -> None:
        self._lost_after_s = lost_after_s
        self._heard: dict[str, datetime] = {}
        self._checks: IndexedHeap[str, datetime] = IndexedHeap()
        """A lower bound of the moment at which each agent counts as lost; a sign of life leaves it where it is."""

    def __len__(self) -> int:
        return len(self._heard)

    def heard(self, agent_id: str, now: datetime) -> None:
        """Note a sign of life."""
        self._heard[agent_id] = now
        if agent_id not in self._checks:
            self._checks.set(agent_id, self._lost_at(now))

    def forget(self, agent_id: str) -> None:
        """Stop watching an agent: it left, or counts as lost already."""
        self._heard.pop(agent_id, None)
        self._checks.remove(agent_id)

    def heard_at(self, agent_id: str) -> datetime | None:
        """Return when the agent was last heard, or None if it is not watched."""
        return self._heard.get(agent_id)

    def silent(self, now: datetime) -> list[tuple[str, float]]:
        """Return the agents that count as lost now, with their silence in seconds.

        They stay watched until they are forgotten, and are returned again later if nothing comes of it.
        """
        found: list[tuple[str, float]] = []
        while (first := self._checks.peek()) is not None and first[0] <= now:
            agent_id = first[1]
            heard = self._heard[agent_id]
            lost_at = self._lost_at(heard)
            if lost_at <= now:
                found.append((agent_id, seconds_between(heard, now)))
                lost_at = self._lost_at(now)
            self._checks.set(agent_id, lost_at)
        return found

    def is_silent(self, agent_id: str, now: datetime) -> bool:
        """Return whether the agent counts as lost now."""
        heard = self._heard.get(agent_id)
        return heard is not None and self._lost_at(heard) <= now

    def reset_all(self, now: datetime) -> None:
        """Count every agent as heard now: no agent could be heard, so no agent's silence is known."""
        for agent_id in self._heard:
            self._heard[agent_id] = now

    def next_at(self) -> datetime | None:
        """Return a moment before which no agent becomes lost."""
        first = self._checks.peek()
        return None if first is None else first[0]

    def _lost_at(self, heard: datetime) -> datetime:
        return after(heard, self._lost_after_s) + TICK
