"""Counts over the acknowledged log: what happened so far, by event and by ending."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from domain.events import Entity
from domain.events import task as ev
from domain.policies.stealing import DURATION_WINDOW, average_duration_s

if TYPE_CHECKING:
    from domain.recorded import Recorded


class Statistics:
    """Totals since the log began; they only grow."""

    def __init__(self) -> None:
        self.events: Counter[tuple[Entity, str]] = Counter()
        self.late_completions = 0
        self._durations_s: deque[float] = deque(maxlen=DURATION_WINDOW)

    def observe(self, recorded: Recorded) -> None:
        """Follow one acknowledged event."""
        event = recorded.event
        self.events[recorded.entity, event.name] += 1
        if isinstance(event, ev.Completed):
            self._durations_s.append(event.duration_s)
            self.late_completions += event.late

    def totals(self) -> dict[str, Any]:
        """Return the totals as `query.statistics` shows them; durations in seconds."""
        count = self.events
        task = Entity.TASK
        return {
            "submitted": count[task, "submitted"],
            "granted": count[task, "leased"],
            "completed": count[task, "completed"],
            "late_completions": self.late_completions,
            "failed": count[task, "failed"],
            "cancelled": count[task, "cancelled"],
            "expired": count[task, "expired"],
            "stuck": count[task, "stuck"],
            "recovered": count[task, "recovered"],
            "requeued": count[task, "requeued"],
            "quarantined": count[task, "quarantined"],
            "released": count[task, "released"],
            "revoked": count[task, "revoked"],
            "stolen": count[task, "stolen"],
            "reports": count[task, "progressed"],
            "renewals": count[task, "renewed"],
            "extensions": count[task, "extended"],
            "escalations": count[task, "escalated"],
            "late_reports": count[task, "late_progress"],
            "average_duration_s": average_duration_s(tuple(self._durations_s)),
        }
