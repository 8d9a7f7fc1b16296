"""The kinds of incidents in a demo run, and which event of the log is which."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.events import agent as ag
from domain.events import steal as st
from domain.events import task as ev

if TYPE_CHECKING:
    from domain.recorded import Recorded


class Happening(StrEnum):
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
    {Happening.CRASHED, Happening.RESTARTED, Happening.SILENT, Happening.BACK, Happening.REFUSED, Happening.TAKEN_OVER}
)
"""Incidents that no single event records: agents report them, or they show only together with the task's state."""

_BY_EVENT: dict[type[object], Happening] = {
    ag.Lost: Happening.LOST,
    ag.AgentDraining: Happening.DRAINED,
    st.StealCompleted: Happening.STEAL,
    ev.Expired: Happening.EXPIRED,
    ev.LateProgress: Happening.EVIDENCE,
    ev.Stolen: Happening.STOLEN,
    ev.Quarantined: Happening.QUARANTINED,
    ev.Stuck: Happening.STUCK,
    ev.Recovered: Happening.RECOVERED,
    ev.Silenced: Happening.ANNOUNCED,
    ev.Released: Happening.RELEASED,
    ev.Blocked: Happening.BLOCKED,
    ev.Unblocked: Happening.UNBLOCKED,
    ev.Cancelled: Happening.CANCELLED,
}


def happening(recorded: Recorded) -> Happening | None:
    """Return the kind of incident that an event records; None for ordinary events."""
    match recorded.event:
        case ev.Completed(late=True):
            return Happening.LATE_COMPLETION
        case ev.Requeued(cause=ev.Cause.FAILURE):
            return Happening.RETRIED
        case ev.Requeued(cause=ev.Cause.OPERATOR):
            return Happening.FREED
        case ev.Failed(numbers=numbers):
            return Happening.FAILED if numbers is None else Happening.DEADLINE
        case event:
            return _BY_EVENT.get(type(event))


class Tally:
    """Counts incidents by kind."""

    def __init__(self) -> None:
        self.counts: Counter[Happening] = Counter()

    def observe(self, recorded: Recorded) -> None:
        """Count one event of the log."""
        kind = happening(recorded)
        if kind is not None:
            self.counts[kind] += 1

    def add(self, kind: Happening) -> None:
        """Count an incident that no event records."""
        self.counts[kind] += 1

    def __getitem__(self, kind: Happening) -> int:
        return self.counts[kind]
