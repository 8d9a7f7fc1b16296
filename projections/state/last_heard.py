"""When each agent was heard last, by the log: the time of the last event that shows that it acted.

Built from acknowledged events. A service that runs knows more: most commands leave no event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.actors import agent_actor
from domain.events import agent as ag
from domain.events import task as ev
from domain.timestamps import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.recorded import Recorded


class LastHeard:
    """Registered agent -> the moment at which it was heard last."""

    def __init__(self) -> None:
        self._heard_at: dict[str, datetime] = {}
        """By actor, as events name it: to take the agent's id from that costs as much as all the rest."""

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events."""
        heard_at = self._heard_at
        for recorded in records:
            # By exact type: on models isinstance is slow, and this runs for every event.
            if type(recorded.event) in _SPECIAL:
                self._observe(recorded)
            elif recorded.actor in heard_at:
                heard_at[recorded.actor] = recorded.time

    def _observe(self, recorded: Recorded) -> None:
        event: Any = recorded.event
        kind = type(event)
        if kind is ev.Leased:
            if recorded.actor == agent_actor(event.agent_id):
                self._note(recorded.actor, event.asked_at or recorded.time)
        elif kind is ev.Failed:
            if event.agent_id is not None and recorded.actor == agent_actor(event.agent_id):
                self._note(recorded.actor, recorded.time)
        elif kind is ag.Registered:
            self._heard_at[agent_actor(recorded.entity_id)] = recorded.time
        elif kind is ag.Deregistered:
            self._heard_at.pop(agent_actor(recorded.entity_id), None)
        elif kind is ag.Lost and event.heard_at is not None:
            self._note(agent_actor(recorded.entity_id), event.heard_at)

    def _note(self, actor: str, at: datetime) -> None:
        known = self._heard_at.get(actor)
        if known is not None and at > known:
            self._heard_at[actor] = at

    def heard_at(self, agent_id: str) -> datetime | None:
        """Return when the agent was heard last, or None if it is not registered."""
        return self._heard_at.get(agent_actor(agent_id))

    def dump(self) -> dict[str, str]:
        """Return everything as JSON has it; `loaded` takes it."""
        return {actor: format_timestamp(at) for actor, at in self._heard_at.items()}

    @classmethod
    def loaded(cls, dumped: Mapping[str, str]) -> LastHeard:
        """Return what `dump` gave; raises AttributeError, TypeError or ValueError where it is something else."""
        last_heard = cls()
        last_heard._heard_at = {actor: parse_timestamp(at) for actor, at in dumped.items()}
        return last_heard


_SPECIAL = frozenset({ag.Registered, ag.Deregistered, ag.Lost, ag.LoadReported, ev.Leased, ev.Failed})
"""Events of which the actor and the time alone do not say whether an agent was heard, and when.

A load may be reported without a sign of life. A claim that waited may take a task, or find one past its deadline and
let it fail, after its agent has died.
"""
