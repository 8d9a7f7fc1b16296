"""The rows of an audit, one for each event: who, what, when, why, under which token, decided by which numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.subjects import shown_id
from projections.reports.audit_filter import agent_of
from projections.reports.event_json import EventJson
from projections.reports.history_entry import unreadable_entry
from projections.reports.wording import describe

if TYPE_CHECKING:
    from collections.abc import Sequence
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
    """The agent whose lease or membership it concerns, if the event itself says so."""
    token: int | None
    verb: str
    """The verb of the command."""
    command_id: str
    keyed: bool
    """Whether the caller chose the command id."""
    reason: str | None
    what: str
    """The event in words, with the numbers that it was decided by."""
    numbers: str
    """The numbers and limits that it was decided by, or that it sets, as JSON."""
    data: str
    """The event's own fields as JSON."""


_EMPTY = Row(0, None, "", "", "", "", None, None, "", "", keyed=False, reason=None, what="", numbers="{}", data="{}")


class Rows:
    """Makes the rows of an audit. `ascii_only`: their JSON escapes everything that is not ASCII."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        self._json = EventJson(ascii_only=ascii_only)

    def of(self, records: Sequence[Recorded]) -> list[Row]:
        """Return the rows of some events. Doing each step for all of them at once takes a fifth less time."""
        events = [recorded.event for recorded in records]
        texts = [*map(self._json.write, events)]
        words = [*map(describe, events)]
        agents = [*map(agent_of, records)]
        return [
            Row(
                position=recorded.position,
                time=recorded.time,
                actor=recorded.actor,
                entity=recorded.entity.value,
                id=recorded.entity_id,
                event=event.name,
                agent=agent,
                token=event.__dict__.get("token"),
                verb=recorded.verb,
                command_id=recorded.causation_id,
                keyed=recorded.keyed,
                reason=event_reason(event),
                what=what,
                numbers=numbers,
                data=data,
            )
            for recorded, event, agent, what, (data, numbers) in zip(records, events, agents, words, texts, strict=True)
        ]


def event_reason(event: Event) -> str | None:
    """Return the reason or error that an event carries, if any."""
    # `getattr` on a pydantic model is slow for a field that is not there.
    fields = event.__dict__
    return fields.get("reason") or fields.get("error") or None


def unreadable_audit_row(position: int, subject: str, reason: str) -> Row:
    """Return the row of a message that no fold can read; the entity is what its subject claims."""
    entry = unreadable_entry(position, subject, reason)
    entity, entity_id = [*subject.split("."), *[""] * _SUBJECT_TOKENS][_SUBJECT_ENTITY : _SUBJECT_ENTITY + 2]
    return _EMPTY._replace(position=position, entity=entity, id=shown_id(entity_id), event=entry.event, what=entry.what)
