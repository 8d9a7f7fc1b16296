"""Agents whose lease expired and that were not heard since: folded from events alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.actors import acting_agent
from domain.events import agent as ag
from domain.events import task as ev

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.recorded import Recorded
    from projections.state.pool_state import PoolState


class Silences:
    """Keeps when a lease of an agent expired, until the agent is heard. Memory: the agents of the folded events."""

    def __init__(self) -> None:
        self._expired_at: dict[str, datetime] = {}
        self._acted: set[str] = set()
        """Agents that were heard in the folded events: the state tells nothing of them that these do not."""
        self._adopted: dict[str, datetime] = {}
        """As `_expired_at`, of leases that expired before the first folded event."""

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events, in their order."""
        acted, expired_at, adopted = self._acted, self._expired_at, self._adopted
        for recorded in records:
            actor = acting_agent(recorded.actor)
            if actor is not None:
                acted.add(actor)
                if expired_at:
                    expired_at.pop(actor, None)
                if adopted:
                    adopted.pop(actor, None)
            event = recorded.event
            if isinstance(event, ev.Expired):
                expired_at[event.agent_id] = event.numbers.expires_at
            elif isinstance(event, ag.Deregistered):
                expired_at.pop(recorded.entity_id, None)
                adopted.pop(recorded.entity_id, None)
                acted.discard(recorded.entity_id)

    def adopt(self, state: PoolState) -> None:
        """Take over what a state at the same position tells of leases that expired before the first folded event.

        That is only of tasks that no agent has taken since.
        """
        for task in state.tasks.values():
            last = task.last_lease
            if task.late_token is None or last is None or last.token != task.late_token:
                continue
            if last.agent_id not in self._acted and last.agent_id not in self._expired_at:
                self._adopted[last.agent_id] = last.expires_at

    def expired_at(self, agent_id: str, heard_at: datetime | None) -> datetime | None:
        """Return when a lease of an agent expired that was not heard since; None: none, or it was heard.

        `heard_at`: when the agent was heard last, as far as that is known.
        """
        expired_at = self._expired_at.get(agent_id)
        if expired_at is not None:
            return expired_at
        adopted = self._adopted.get(agent_id)
        return adopted if adopted is not None and (heard_at is None or heard_at <= adopted) else None
