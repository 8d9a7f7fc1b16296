"""Which events an audit is about: by agent, by actor, and the subjects to ask the broker for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.actors import acting_agent, agent_actor
from domain.events import EVENT_TYPES, Entity
from domain.events.task import Leased, Stolen
from domain.lifecycles import LEASE_ENDING_EVENTS, STEAL_ENDING_EVENTS
from domain.subjects import subject_token

if TYPE_CHECKING:
    from domain.events import Event
    from domain.recorded import Recorded
    from projections.state.pool_state import PoolState

_NAMING_AGENTS = ("agent_id", "from_agent", "to_agent")
_AGENT_FIELDS: dict[type[Event], tuple[str, ...]] = {
    kind: tuple(name for name in _NAMING_AGENTS if name in kind.model_fields) for kind in EVENT_TYPES.values()
}
_WITH_HANDOFF = frozenset(kind for kind in EVENT_TYPES.values() if "handoff" in kind.model_fields)


def agent_of(recorded: Recorded) -> str | None:
    """Return the agent whose lease or membership an event concerns, if the event itself says so."""
    if recorded.entity is Entity.AGENT:
        return recorded.entity_id
    named: str | None = recorded.event.__dict__.get("agent_id")
    return named or acting_agent(recorded.actor)


class AgentFilter:
    """Selects what concerns one agent: events about it, by it, and on tasks under its leases.

    Most events on a held task name a token and no agent, so the filter has to know the agent's tokens. It learns them
    from every grant that it is shown, within the audit or before it, and forgets a lease at its end.
    """

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self._tokens: set[int] = set()
        self._operations: set[str] = set()

    def includes(self, recorded: Recorded) -> bool:
        """Return whether an event concerns the agent. It has to be called for every event, in order."""
        event = recorded.event
        token = getattr(event, "token", None)
        mine = (
            token in self._tokens
            or recorded.actor == agent_actor(self.agent_id)
            or (recorded.entity is Entity.AGENT and recorded.entity_id == self.agent_id)
            or (recorded.entity is Entity.STEAL and recorded.entity_id in self._operations)
            or any(getattr(event, name) == self.agent_id for name in _AGENT_FIELDS[type(event)])
            or self._handed_off(event)
        )
        self.learn(recorded)
        if isinstance(event, Stolen):
            self._tokens.discard(event.previous_token)
        elif event.name in LEASE_ENDING_EVENTS and token is not None:
            self._tokens.discard(token)
        if recorded.entity is Entity.STEAL and event.name in STEAL_ENDING_EVENTS:
            self._operations.discard(recorded.entity_id)
        return mine

    def start_from(self, state: PoolState) -> None:
        """Learn the leases that the agent holds, and the steals from and to it that are under way."""
        for task in state.tasks.values():
            if task.lease is not None and task.lease.agent_id == self.agent_id:
                self._tokens.add(task.lease.token)
        for steal in state.steals.values():
            if not steal.over and self.agent_id in {steal.plan.from_agent, steal.plan.to_agent}:
                self._operations.add(steal.operation_id)

    def learn(self, recorded: Recorded) -> None:
        """Learn from a grant or a planned steal; other events in between may be left out."""
        event = recorded.event
        if isinstance(event, Leased | Stolen):
            if event.agent_id == self.agent_id:
                self._tokens.add(event.token)
        elif event.name == "planned" and any(
            getattr(event, name) == self.agent_id for name in _AGENT_FIELDS[type(event)]
        ):
            self._operations.add(recorded.entity_id)

    def _handed_off(self, event: Event) -> bool:
        handoff = getattr(event, "handoff", None) if type(event) in _WITH_HANDOFF else None
        return handoff is not None and handoff.from_agent == self.agent_id


LEARNED_SUBJECTS = ("task.*.leased", "task.*.stolen", "steal.*.planned")
"""Subjects, after the pool's prefix, of the events to `learn` from where an audit does not read every event."""


def actor_matches(actor: str, wanted: str) -> bool:
    """Return whether an actor is the wanted one. `ops` matches every operator, `agent` every agent."""
    return actor == wanted or actor.startswith(f"{wanted}/")


def subject_filter(
    prefix: str, *, entity: Entity | None = None, entity_id: str | None = None, event: str | None = None
) -> str | None:
    """Return the subjects to ask the broker for, or None for all.

    If only one kind of entity has events of a name, the name selects that kind too.
    """
    if entity is None and event is not None:
        kinds = {kind.entity for kind in EVENT_TYPES.values() if kind.name == event}
        entity = kinds.pop() if len(kinds) == 1 else None
    if entity is None and entity_id is None and event is None:
        return None
    return f"{prefix}{entity or '*'}.{'*' if entity_id is None else subject_token(entity_id)}.{event or '*'}"
