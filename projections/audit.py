"""Who did what, when, why, under which token, and decided by which numbers: the log as rows, one for each event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.events import EVENT_TYPES, Entity
from domain.events.task import Leased, Stolen
from domain.timestamps import format_timestamp
from projections.timeline import Entry, entry

if TYPE_CHECKING:
    from datetime import datetime

    from domain.events import Event
    from domain.recorded import Recorded

_SUBJECT_ENTITY = 3
_SUBJECT_TOKENS = 6


class Row(NamedTuple):
    """One event of an audit."""

    position: int
    time: datetime | None
    """None for a message that cannot be read."""
    actor: str
    entity: str
    id: str
    event: str
    agent: str | None
    """Whose lease or membership it concerns, as far as the event itself says."""
    token: int | None
    verb: str
    """What was asked for."""
    command_id: str
    keyed: bool
    """Whether the caller chose the command id."""
    reason: str | None
    what: str
    """What it means, in words, with the numbers it was decided by."""
    numbers: dict[str, Any]
    """The numbers and limits that it was decided by, or that it sets."""
    data: dict[str, Any]
    """The event's own fields, as JSON has them."""

    def as_json(self) -> dict[str, Any]:
        """Return the row for machines."""
        return {**self._asdict(), "time": None if self.time is None else format_timestamp(self.time)}


def row(recorded: Recorded) -> Row:
    """Return the row of an event."""
    told = entry(recorded)
    reason = told.data.get("reason") or told.data.get("error")
    return _row(
        told,
        recorded.entity.value,
        recorded.entity_id,
        agent=agent_of(recorded),
        keyed=recorded.keyed,
        reason=reason if isinstance(reason, str) else None,
    )


def unreadable_row(told: Entry) -> Row:
    """Return the row of a message that no fold can read; its subject says what it claims to be about."""
    tokens = [*told.subject.split("."), *[""] * _SUBJECT_TOKENS]
    entity, entity_id = tokens[_SUBJECT_ENTITY : _SUBJECT_ENTITY + 2]
    return _row(told, entity, entity_id, agent=None, keyed=False, reason=None)


def _row(told: Entry, entity: str, entity_id: str, *, agent: str | None, keyed: bool, reason: str | None) -> Row:
    return Row(
        position=told.position,
        time=told.time,
        actor=told.actor,
        entity=entity,
        id=entity_id,
        event=told.event,
        agent=agent,
        token=told.token,
        verb=told.verb,
        command_id=told.command_id,
        keyed=keyed,
        reason=reason,
        what=told.what,
        numbers=_numbers(told.data),
        data=told.data,
    )


_MOMENTS = frozenset({"expires_at", "previous_expires_at", "not_before", "until"})


def _numbers(data: dict[str, Any]) -> dict[str, Any]:
    """Return what an event was decided by; where it does not say so itself, the numbers and terms it carries."""
    own = data.get("numbers")
    if isinstance(own, dict):
        return own
    return {
        name: value
        for name, value in data.items()
        if name != "token" and (name in _MOMENTS or (isinstance(value, int | float) and not isinstance(value, bool)))
    }


_NAMING_AGENTS = ("agent_id", "from_agent", "to_agent")
_AGENT_FIELDS: dict[type[Event], tuple[str, ...]] = {
    kind: tuple(name for name in _NAMING_AGENTS if name in kind.model_fields) for kind in EVENT_TYPES.values()
}
_WITH_HANDOFF = frozenset(kind for kind in EVENT_TYPES.values() if "handoff" in kind.model_fields)


def agent_of(recorded: Recorded) -> str | None:
    """Return whose lease or membership an event concerns, as far as it says so itself."""
    if recorded.entity is Entity.AGENT:
        return recorded.entity_id
    event = recorded.event
    named = getattr(event, "agent_id", None) if "agent_id" in _AGENT_FIELDS[type(event)] else None
    kind, _, agent_id = recorded.actor.partition("/")
    return named or (agent_id if kind == "agent" else None)


class AgentTrail:
    """What concerns one agent: events about it, by it, and on tasks under its leases.

    An event on a held task names a token and mostly no agent, so the trail learns from `follow` which tokens are the
    agent's: from every grant that it is shown, whether or not that is within the audit. It forgets a lease at its end.
    """

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self._tokens: set[int] = set()
        self._operations: set[str] = set()

    def follow(self, recorded: Recorded) -> bool:
        """Learn from one event, in order; return whether it concerns the agent."""
        event = recorded.event
        token = getattr(event, "token", None)
        mine = (
            token in self._tokens
            or recorded.actor == f"agent/{self.agent_id}"
            or (recorded.entity is Entity.AGENT and recorded.entity_id == self.agent_id)
            or (recorded.entity is Entity.STEAL and recorded.entity_id in self._operations)
            or any(getattr(event, name) == self.agent_id for name in _AGENT_FIELDS[type(event)])
            or self._handed_off(event)
        )
        self.learn(recorded)
        if isinstance(event, Stolen):
            self._tokens.discard(event.previous_token)
        elif event.name in _LEASE_ENDS and token is not None:
            self._tokens.discard(token)
        if recorded.entity is Entity.STEAL and event.name in _STEAL_ENDS:
            self._operations.discard(recorded.entity_id)
        return mine

    def hold(self, token: int) -> None:
        """Take in a lease that the agent holds already."""
        self._tokens.add(token)

    def learn(self, recorded: Recorded) -> None:
        """Take in a grant or a plan, whatever came between."""
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


LEARNED_FROM = ("task.*.leased", "task.*.stolen", "steal.*.planned")
"""Subjects, behind the pool's prefix, of what a trail has to learn from where it does not see everything."""
_LEASE_ENDS = frozenset(
    {"completed", "failed", "cancelled", "expired", "released", "revoked", "blocked", "requeued", "quarantined"}
)
_STEAL_ENDS = frozenset({"completed", "failed"})


def by_actor(actor: str, wanted: str) -> bool:
    """Return whether an event's actor is the wanted one; `ops` is every operator, `agent` every agent."""
    return actor == wanted or actor.startswith(f"{wanted}/")


def subject_filter(
    prefix: str, *, entity: Entity | None = None, entity_id: str | None = None, event: str | None = None
) -> str | None:
    """Return the subjects that the broker is to send, or None for all.

    An event's name that only one kind of entity has narrows it to that kind.
    """
    if entity is None and event is not None:
        kinds = {kind.entity for kind in EVENT_TYPES.values() if kind.name == event}
        entity = kinds.pop() if len(kinds) == 1 else None
    if entity is None and entity_id is None and event is None:
        return None
    return f"{prefix}{entity or '*'}.{entity_id or '*'}.{event or '*'}"
