"""Leases as bars of the timeline: from the grant to the end, with announced and actual silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.events import task as ev
from domain.lifecycles import LEASE, LEASE_ENDS
from projections.reports.time_text import clock, duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.task import Lease
    from projections.postmortem.observed_events import CollectedEvents, ObservedEvent

OPEN = "open"
"""The end of a lease that had not ended."""
ENDS = (*sorted(status.value for status in LEASE_ENDS), OPEN)


class Span(NamedTuple):
    """A period with a meaning. Without an end it lasts beyond the last event."""

    kind: str
    begin: datetime
    end: datetime | None
    position: int
    """Of the event that shows it."""
    what: str


class Bar(NamedTuple):
    """One lease."""

    token: int
    task_id: str
    agent_id: str
    attempt: int
    begin: datetime
    """The grant, which may be before the first event."""
    end: datetime | None
    ended: str
    """One of `ENDS`."""
    end_position: int | None
    note: str
    """How it ended, in a few words, with the numbers that it was judged by."""
    spans: tuple[Span, ...]
    """Of the kinds `announced`, `silent`, `grace`, `wait` (past the grace, not judged yet) and `stopped` (clock)."""


class _OpenBar:
    """A lease whose end has not been observed yet."""

    def __init__(self, task_id: str, lease: Lease) -> None:
        self.task_id = task_id
        self.lease = lease
        self.spans: list[Span] = []
        self.stopped: ObservedEvent | None = None

    def closed(self, ended: str, end: ObservedEvent | None) -> Bar:
        lease = self.lease
        if self.stopped is not None:
            self.resume(end)
        return Bar(
            lease.token,
            self.task_id,
            lease.agent_id,
            lease.attempt,
            lease.granted_at,
            None if end is None else end.at,
            ended,
            None if end is None else end.position,
            OPEN if end is None else _note(end, lease),
            tuple(self.spans),
        )

    def resume(self, observed: ObservedEvent | None) -> None:
        stopped, self.stopped = self.stopped, None
        if stopped is not None:
            until = None if observed is None else observed.at
            self.spans.append(Span("stopped", stopped.at, until, stopped.position, "stuck: its clock stands still"))


def lease_bars(collected: CollectedEvents) -> tuple[Bar, ...]:
    """Return every lease that was held while the events happened, in the order of the grants."""
    opened = {task_id: _OpenBar(task_id, task.lease) for task_id, task in collected.idle.items() if task.lease}
    bars: list[Bar] = []
    for observed in collected.events:
        task_id, event = observed.recorded.entity_id, observed.recorded.event
        before = observed.before.lease if observed.before is not None else None
        now = observed.after.lease if observed.after is not None else None
        if before is not None:
            bar = opened.setdefault(task_id, _OpenBar(task_id, before))
            bar.lease = before
            bar.spans.extend(_spans(observed, before))
            if isinstance(event, ev.Recovered):
                bar.resume(observed)
            if now is None or now.token != before.token:
                ended = LEASE.next[before.status, event.name]
                bars.append(opened.pop(task_id).closed(ended.value, observed))
        if now is not None:
            bar = opened.setdefault(task_id, _OpenBar(task_id, now))
            bar.lease = now
            if isinstance(event, ev.Stuck) and not event.clock_runs:
                bar.stopped = observed
    bars.extend(each.closed(OPEN, None) for each in opened.values())
    return tuple(sorted(bars, key=lambda bar: (bar.begin, bar.token)))


def _note(end: ObservedEvent, lease: Lease) -> str:
    event = end.recorded.event
    match event:
        case ev.Expired():
            numbers = event.numbers
            said = [f"expired: silent {duration(numbers.silence_s)}"]
            said.append(f"term {duration(lease.lease_s)} + grace {duration(numbers.grace_s)}")
            if numbers.median_interval_s is not None and not numbers.hard_cap:
                times = f"{duration(numbers.median_interval_s)} × {numbers.silence_multiplier:g}"
                said.append(f"median {times} = {duration(numbers.tolerated_silence_s)}")
            if numbers.not_before is not None and numbers.due_at == numbers.not_before:
                said.append(f"floor {clock(numbers.not_before)}")
            return ", ".join(said)
        case ev.Stolen():
            return f"stolen for {event.agent_id}"
        case ev.Failed() | ev.Requeued() | ev.Quarantined():
            return f"failed: {event.error}"
        case ev.Completed(duration_s=None):
            return "completed"
        case ev.Completed():
            return f"completed after {duration(event.duration_s)}"
        case _:
            reason = getattr(event, "reason", None)
            return f"{event.name}: {reason}" if reason else event.name


def _spans(observed: ObservedEvent, lease: Lease) -> Iterator[Span]:
    event = observed.recorded.event
    if isinstance(event, ev.Silenced):
        yield Span("announced", observed.at, event.until, observed.position, f"announced: {event.reason}")
    if not isinstance(event, ev.Expired | ev.Stuck):
        return
    numbers = event.numbers
    heard = numbers.last_beat_at or lease.granted_at
    if heard < observed.at:
        yield Span("silent", heard, observed.at, observed.position, "not heard")
    if numbers.expires_at < observed.at:
        graced = min(numbers.due_at, observed.at)
        yield Span("grace", numbers.expires_at, graced, observed.position, "past its expiry, in grace")
        if graced < observed.at:
            yield Span("wait", graced, observed.at, observed.position, "past its grace, and not judged yet")
