"""Notable incidents, one line each: from the events of the feed, and from what the agents report."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from custody_demo.incidents import Incident, Tally, incident_of
from domain.events import agent as ag
from domain.events import steal as st
from domain.events import task as ev
from projections.reports.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.recorded import Recorded
    from domain.task import Task

REMEMBERED = 200
"""How many of the latest lines are kept."""


class Line(NamedTuple):
    """One line of the activity."""

    at_s: float
    kind: Incident | None
    text: str


class ActivityLog:
    """Makes lines of incidents, passes them to the listener, keeps the latest, and counts by kind."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self.tally = Tally()
        self.latest: deque[Line] = deque(maxlen=REMEMBERED)
        self.listener: Callable[[Line], None] | None = None
        self._elapsed_s = elapsed_s
        self._expired: ev.Expired | None = None
        self._moves: dict[str, st.Planned] = {}

    def add(self, kind: Incident | None, text: str) -> None:
        """Add an incident that no event records; kind None is not counted."""
        if kind is not None:
            self.tally.add(kind)
        self._line(kind, text)

    def observe(self, recorded: Recorded, before: Task | None) -> None:
        """Add the line of an event, if it is notable; `before` is the task as it was before the event."""
        self.tally.observe(recorded)
        event = recorded.event
        if isinstance(event, ev.Expired):
            # The consequence is the next event of the same append; both give one line.
            self._expired = event
            return
        expired, self._expired = self._expired, None
        if isinstance(event, ev.Requeued | ev.Quarantined) and expired is not None:
            self._line(incident_of(recorded) or Incident.EXPIRED, f"{recorded.entity_id}: {_end(expired, event)}")
        elif isinstance(event, st.Planned):
            self._moves[recorded.entity_id] = event
        elif isinstance(event, st.StealCompleted):
            self._line(Incident.STEAL, _move(self._moves.pop(recorded.entity_id), event))
        elif isinstance(event, ev.Leased) and before is not None and before.handoff is not None:
            self._taken_over(recorded.entity_id, event, before.handoff)
        else:
            text = _words(recorded, before)
            if text:
                self._line(incident_of(recorded), text)

    def _taken_over(self, task_id: str, event: ev.Leased, handoff: ev.Handoff) -> None:
        self.tally.add(Incident.TAKEN_OVER)
        if handoff.progress > 0 and handoff.from_agent != event.agent_id:
            text = f"{task_id}: {event.agent_id} goes on at the {handoff.progress} % that {handoff.from_agent} left"
            self._line(Incident.TAKEN_OVER, text)

    def _line(self, kind: Incident | None, text: str) -> None:
        line = Line(self._elapsed_s(), kind, text)
        self.latest.append(line)
        if self.listener is not None:
            self.listener(line)


def _move(plan: st.Planned, event: st.StealCompleted) -> str:
    return (
        f"{count(event.moved, 'task')} stolen from {plan.from_agent}"
        f" ({event.source_tasks_before} -> {event.source_tasks_after})"
        f" for {plan.to_agent} ({event.target_tasks_before} -> {event.target_tasks_after})"
    )


def _end(expired: ev.Expired, event: ev.Requeued | ev.Quarantined) -> str:
    if isinstance(event, ev.Quarantined):
        return f"quarantined, {event.reason.partition(';')[0]} (last: {expired.agent_id})"
    progress = event.handoff.progress if event.handoff is not None else 0
    again = f"attempt {event.attempt} to go on at {progress} %" if progress else f"attempt {event.attempt} is due"
    return f"{_expiry(expired)}; {again}"


def _expiry(event: ev.Expired) -> str:
    numbers = event.numbers
    if numbers.last_beat_at is None:
        return f"lease expired, not a word from {event.agent_id} in {numbers.silence_s:.1f} s"
    return f"lease expired, {event.agent_id} silent for {numbers.silence_s:.1f} s"


def _words(recorded: Recorded, before: Task | None) -> str:  # noqa: C901, PLR0911, PLR0912 - one arm for each kind of event
    name = recorded.entity_id
    holder = (before.holder if before is not None else None) or "no agent"
    match recorded.event:
        case ag.Lost(silence_s=silence_s, threshold_s=threshold_s):
            return f"{name} counts as lost: silent for {silence_s:.1f} s (limit {threshold_s:.1f} s)"
        case ag.AgentDraining(reason=reason):
            return f"{name} is drained by the operator: {reason}"
        case ag.AgentResumed():
            return f"{name} takes work again"
        case ev.LateProgress(agent_id=agent_id, kind=kind, percent=percent):
            what = f"{percent} %" if percent is not None else f"its {kind}"
            return f"{name}: {what} reported late by {agent_id}, kept as evidence"
        case ev.Completed(late=True, agent_id=agent_id):
            return f"{name}: completed late by {agent_id}, accepted: it was not leased again"
        case ev.Requeued(cause=ev.Cause.FAILURE, attempt=attempt, error=error):
            return f"{name}: failed ({error}), attempt {attempt} is due"
        case ev.Failed(numbers=None, failures=failures, error=error):
            return f"{name}: failed for good after {failures} failures ({error})"
        case ev.Failed(numbers=numbers) if numbers is not None:
            return f"{name}: deadline missed, swept {numbers.overdue_s * 1000:.0f} ms later (held by {holder})"
        case ev.Quarantined(reason=reason):
            return f"{name}: quarantined, {reason}"
        case ev.Stuck(numbers=numbers, agent_id=agent_id):
            return f"{name}: stuck, {agent_id} silent for {numbers.silence_s:.1f} s; swept"
        case ev.Recovered():
            return f"{name}: {holder} is active again, no longer stuck"
        case ev.Requeued(cause=ev.Cause.OPERATOR, reason=reason):
            return f"{name}: freed by the operator, {reason}"
        case ev.Silenced(for_s=for_s, reason=reason):
            return f"{name}: {holder} will be quiet for {for_s:.1f} s: {reason}"
        case ev.Released(reason=reason):
            return f"{name}: given back by {holder}: {reason}"
        case ev.Blocked(reason=reason):
            return f"{name}: blocked, {reason}"
        case ev.Unblocked(reason=reason):
            return f"{name}: unblocked, {reason}"
        case ev.Cancelled():
            return f"{name}: cancelled by the operator (held by {holder})"
        case _:
            return ""
