"""Counts over the acknowledged log: what happened so far, by event and by ending."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Any

from domain.events import Event
from domain.events import steal as st
from domain.events import task as ev
from domain.policies.load_balancing import DURATION_WINDOW, average_duration_s
from projections.state.lease_figures import LeaseFigures
from projections.state.work_times import WorkTimes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from domain.recorded import Recorded
    from domain.task import Task


AGENTS_WITH_DURATIONS = 1_000
"""Agents whose durations are kept, those that completed something last."""
FAILURE_CAUSES = ("deadline", "budget", "gave_up")
"""Why tasks failed: past the deadline, with the last retryable failure that the budget allows, or not retryable."""
_COUNTED = frozenset({ev.Completed, ev.Failed, st.StealCompleted})


def _cause(event: ev.Failed) -> str:
    if event.numbers is not None:
        return "deadline"
    return "budget" if event.retryable else "gave_up"


class Statistics:
    """Totals since the log began; they only grow."""

    def __init__(self) -> None:
        self.events: Counter[type[Event]] = Counter()
        self.late_completions = 0
        self.failures: Counter[str] = Counter()
        """How tasks failed, by cause."""
        self.moved = 0
        """Tasks that steals moved."""
        self.work_times = WorkTimes()
        """How long tasks took, by which steals are planned; its owner lets it follow the events."""
        self.leases = LeaseFigures()
        """How long tasks waited and were held, how leases ended: for metrics."""
        self._durations_s: deque[float] = deque(maxlen=DURATION_WINDOW)
        self._durations_by_agent_s: OrderedDict[str, deque[float]] = OrderedDict()
        """The last durations of each agent, the agent that completed something last at the end."""

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events."""
        kinds: list[type[Event]] = [type(recorded.event) for recorded in records]
        self.events.update(kinds)
        self.leases.observe(records)
        if _COUNTED.isdisjoint(kinds):
            return
        for recorded in records:
            event = recorded.event
            # By exact type: isinstance on a pydantic model runs Python code.
            if type(event) is ev.Completed:
                if event.duration_s is not None:
                    self._durations_s.append(event.duration_s)
                    self._add_duration(event.agent_id or "", event.duration_s)
                self.late_completions += event.late
            elif type(event) is ev.Failed:
                self.failures[_cause(event)] += 1
            elif type(event) is st.StealCompleted:
                self.moved += event.moved

    def _add_duration(self, agent_id: str, duration_s: float) -> None:
        durations = self._durations_by_agent_s.setdefault(agent_id, deque(maxlen=DURATION_WINDOW))
        durations.append(duration_s)
        self._durations_by_agent_s.move_to_end(agent_id)
        if len(self._durations_by_agent_s) > AGENTS_WITH_DURATIONS:
            self._durations_by_agent_s.popitem(last=False)

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON has it; `loaded` takes it."""
        return {
            "events": {kind.type_name: count for kind, count in self.events.items()},
            "late_completions": self.late_completions,
            "durations_s": list(self._durations_s),
            "failures": dict(self.failures),
            "moved": self.moved,
            "durations_by_agent_s": {agent_id: list(each) for agent_id, each in self._durations_by_agent_s.items()},
            "work_times": self.work_times.dump(),
            "leases": self.leases.dump(),
        }

    @classmethod
    def loaded(
        cls, dumped: Mapping[str, Any], types: Mapping[str, type[Event]], tasks: Iterable[Task] = ()
    ) -> Statistics:
        """Return what `dump` gave, where these tasks were live.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it is something else.
        """
        statistics = cls()
        statistics.events.update({types[name]: int(count) for name, count in dumped["events"].items()})
        statistics.late_completions = int(dumped["late_completions"])
        statistics._durations_s.extend(map(float, dumped["durations_s"]))
        statistics.failures.update({str(cause): int(count) for cause, count in dumped["failures"].items()})
        statistics.moved = int(dumped["moved"])
        statistics.work_times = WorkTimes.loaded(dumped["work_times"])
        statistics.leases = LeaseFigures.loaded(dumped["leases"], tasks)
        for agent_id, durations_s in dumped["durations_by_agent_s"].items():
            statistics._durations_by_agent_s[agent_id] = deque(map(float, durations_s), maxlen=DURATION_WINDOW)
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
            "average_duration_by_agent_s": {
                agent_id: average_duration_s(tuple(each)) for agent_id, each in self._durations_by_agent_s.items()
            },
            "failures": {cause: self.failures[cause] for cause in FAILURE_CAUSES},
            "steals": {
                "planned": count[st.Planned],
                "completed": count[st.StealCompleted],
                "failed": count[st.StealFailed],
                "tasks_moved": self.moved,
            },
        }
