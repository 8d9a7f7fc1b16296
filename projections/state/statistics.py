"""Counts over the acknowledged log: what happened so far, by event and by ending."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from domain.events import Event
from domain.events import task as ev
from domain.policies.load_balancing import DURATION_WINDOW, average_duration_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.recorded import Recorded


class Statistics:
    """Totals since the log began; they only grow."""

    def __init__(self) -> None:
        self.events: Counter[type[Event]] = Counter()
        self.late_completions = 0
        self._durations_s: deque[float] = deque(maxlen=DURATION_WINDOW)

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events."""
        kinds: list[type[Event]] = [type(recorded.event) for recorded in records]
        self.events.update(kinds)
        if ev.Completed not in kinds:
            return
        for recorded in records:
            event = recorded.event
            # By exact type: isinstance on a pydantic model runs Python code.
            if type(event) is ev.Completed:
                if event.duration_s is not None:
                    self._durations_s.append(event.duration_s)
                self.late_completions += event.late

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON has it; `loaded` takes it."""
        return {
            "events": {kind.type_name: count for kind, count in self.events.items()},
            "late_completions": self.late_completions,
            "durations_s": list(self._durations_s),
        }

    @classmethod
    def loaded(cls, dumped: Mapping[str, Any], types: Mapping[str, type[Event]]) -> Statistics:
        """Return what `dump` gave; raises KeyError, TypeError or ValueError where it is something else."""
        statistics = cls()
        statistics.events.update({types[name]: int(count) for name, count in dumped["events"].items()})
        statistics.late_completions = int(dumped["late_completions"])
        statistics._durations_s.extend(map(float, dumped["durations_s"]))
        return statistics

    def totals(self) -> dict[str, Any]:
        """Return the totals as `query.statistics` shows them; durations in seconds."""
        count = self.events
        return {
            "submitted": count[ev.Submitted],
            "granted": count[ev.Leased],
            "completed": count[ev.Completed],
            "late_completions": self.late_completions,
            "failed": count[ev.Failed],
            "cancelled": count[ev.Cancelled],
            "expired": count[ev.Expired],
            "stuck": count[ev.Stuck],
            "stalled": count[ev.Stalled],
            "recovered": count[ev.Recovered],
            "requeued": count[ev.Requeued],
            "quarantined": count[ev.Quarantined],
            "released": count[ev.Released],
            "revoked": count[ev.Revoked],
            "stolen": count[ev.Stolen],
            "reports": count[ev.Progressed],
            "renewals": count[ev.Renewed],
            "extensions": count[ev.Extended],
            "escalations": count[ev.Escalated],
            "late_reports": count[ev.LateProgress],
            "average_duration_s": average_duration_s(tuple(self._durations_s)),
        }
