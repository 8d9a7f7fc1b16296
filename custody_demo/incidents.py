"""The kinds of incidents in a demo run, and which events record them."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.events import agent as ag
from domain.events import steal as st
from domain.events import task as ev

if TYPE_CHECKING:
    from domain.recorded import Recorded


class Incident(StrEnum):
    """A kind of incident, and its name in words."""

    CRASHED = "agents crashed"
    RESTARTED = "agents restarted"
    SILENT = "agents fell silent"
    BACK = "agents came back"
    LOST = "agents counted as lost"
    EXPIRED = "leases expired"
    TAKEN_OVER = "hand-offs taken up"
    REFUSED = "late commands refused"
    EVIDENCE = "late reports kept as evidence"
    LATE_COMPLETION = "late completions accepted"
    STOLEN = "tasks stolen"
    STEAL = "steals"
    RETRIED = "failures retried"
    FAILED = "failure budgets spent"
    DEADLINE = "deadlines missed"
    QUARANTINED = "tasks quarantined"
    STUCK = "tasks stuck"
    RECOVERED = "stuck tasks recovered"
    FREED = "stuck tasks freed by the operator"
    ANNOUNCED = "quiet spells announced"
    RELEASED = "tasks given back"
    BLOCKED = "tasks blocked"
    UNBLOCKED = "tasks unblocked"
    DRAINED = "agents drained"
    CANCELLED = "tasks cancelled"


UNLOGGED = frozenset(
    {Incident.CRASHED, Incident.RESTARTED, Incident.SILENT, Incident.BACK, Incident.REFUSED, Incident.TAKEN_OVER}
)
"""Incidents that no single event records: agents report them, or they show only together with the task's state."""

_BY_EVENT: dict[type[object], Incident] = {
    ag.Lost: Incident.LOST,
    ag.AgentDraining: Incident.DRAINED,
    st.StealCompleted: Incident.STEAL,
    ev.Expired: Incident.EXPIRED,
    ev.LateProgress: Incident.EVIDENCE,
    ev.Stolen: Incident.STOLEN,
    ev.Quarantined: Incident.QUARANTINED,
    ev.Stuck: Incident.STUCK,
    ev.Recovered: Incident.RECOVERED,
    ev.Silenced: Incident.ANNOUNCED,
    ev.Released: Incident.RELEASED,
    ev.Blocked: Incident.BLOCKED,
    ev.Unblocked: Incident.UNBLOCKED,
    ev.Cancelled: Incident.CANCELLED,
}


def incident_of(recorded: Recorded) -> Incident | None:
    """Return the kind of incident that an event records; None for ordinary events."""
    match recorded.event:
        case ev.Completed(late=True):
            return Incident.LATE_COMPLETION
        case ev.Requeued(cause=ev.Cause.FAILURE):
            return Incident.RETRIED
        case ev.Requeued(cause=ev.Cause.OPERATOR):
            return Incident.FREED
        case ev.Failed(numbers=numbers):
            return Incident.FAILED if numbers is None else Incident.DEADLINE
        case event:
            return _BY_EVENT.get(type(event))


class Tally:
    """Counts incidents by kind."""

    def __init__(self) -> None:
        self.counts: Counter[Incident] = Counter()

    def observe(self, recorded: Recorded) -> None:
        """Count one event of the log."""
        kind = incident_of(recorded)
        if kind is not None:
            self.counts[kind] += 1

    def add(self, kind: Incident) -> None:
        """Count an incident that no event records."""
        self.counts[kind] += 1

    def __getitem__(self, kind: Incident) -> int:
        return self.counts[kind]
