"""Leases as bars: from the grant to the end, with what the holder announced, and where it was silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.events import task as ev
from domain.lifecycles import LEASE, LEASE_ENDS, TaskStatus
from projections.reports.time_text import clock, duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.task import Lease, Task
    from projections.postmortem.collect import Collected, Seen

OPEN = "open"
"""How a lease is said to have ended that had not."""
ENDS = (*sorted(status.value for status in LEASE_ENDS), OPEN)
WAITS = frozenset({TaskStatus.QUEUED, TaskStatus.BLOCKED, TaskStatus.QUARANTINED})
"""Where a task without a holder rests."""


class Span(NamedTuple):
    """A stretch of time with a meaning; without an end it lasts beyond the last event."""

    kind: str
    begin: datetime
    end: datetime | None
    position: int
    """Of the event that it is known from."""
    what: str


class Bar(NamedTuple):
    """One lease."""

    token: int
    task_id: str
    agent_id: str
    attempt: int
    begin: datetime
    """The grant, which may lie before the first event shown."""
    end: datetime | None
    ended: str
    """One of `ENDS`."""
    end_position: int | None
    note: str
    """How it ended, in a few words, with the numbers of a judgement."""
    spans: tuple[Span, ...]
    """`announced` and `silent` spells, `grace`, `wait` (past the grace, and not judged yet), `stopped` clocks."""


class Stories(NamedTuple):
    """Every lease, and where tasks waited without one."""

    bars: tuple[Bar, ...]
    waits: dict[str, tuple[Span, ...]]


class _Open:
    """A lease in the making."""

    def __init__(self, task_id: str, lease: Lease) -> None:
        self.task_id = task_id
        self.lease = lease
        self.spans: list[Span] = []
        self.stopped: Seen | None = None

    def bar(self, ended: str, end: Seen | None) -> Bar:
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

    def resume(self, seen: Seen | None) -> None:
        stopped, self.stopped = self.stopped, None
        if stopped is not None:
            until = None if seen is None else seen.at
            self.spans.append(Span("stopped", stopped.at, until, stopped.position, "stuck: its clock stands still"))


def stories(collected: Collected) -> Stories:
    """Return the leases that were held while the events happened, and the waits between them."""
    opened = {task_id: _Open(task_id, task.lease) for task_id, task in collected.idle.items() if task.lease}
    bars: list[Bar] = []
    waits: dict[str, list[Span]] = {}
    resting: dict[str, int] = {}
    for seen in collected.seen:
        task_id = seen.recorded.entity_id
        before, after = seen.before, seen.after
        held = before.lease if before is not None else None
        now = after.lease if after is not None else None
        if before is not None and before.status in WAITS and after is not None and after.status is not before.status:
            since = resting.pop(task_id, before.position)
            waits.setdefault(task_id, []).append(_wait(before, since, seen.at))
        if after is not None and after.status in WAITS:
            resting.setdefault(task_id, seen.position)
        if held is not None:
            story = opened.setdefault(task_id, _Open(task_id, held))
            story.lease = held
            story.spans.extend(_spans(seen, held))
            if isinstance(seen.recorded.event, ev.Recovered):
                story.resume(seen)
            if now is None or now.token != held.token:
                ended = LEASE.next[held.status, seen.recorded.name]
                bars.append(opened.pop(task_id).bar(ended.value, seen))
        if now is not None:
            story = opened.setdefault(task_id, _Open(task_id, now))
            story.lease = now
            if isinstance(seen.recorded.event, ev.Stuck):
                story.stopped = seen
    bars.extend(each.bar(OPEN, None) for each in opened.values())
    last = {seen.recorded.entity_id: seen.after for seen in collected.seen if seen.after is not None}
    for task_id, position in resting.items():
        waits.setdefault(task_id, []).append(_wait(last[task_id], position, None))
    bars.sort(key=lambda bar: (bar.begin, bar.token))
    return Stories(tuple(bars), {task_id: tuple(spans) for task_id, spans in waits.items()})


def _wait(task: Task, position: int, end: datetime | None) -> Span:
    return Span(task.status.value, task.status_since, end, position, task.status.value)


def _note(end: Seen, lease: Lease) -> str:
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
        case ev.Completed():
            return f"completed after {duration(event.duration_s)}"
        case _:
            reason = getattr(event, "reason", None)
            return f"{event.name}: {reason}" if reason else event.name


def _spans(seen: Seen, lease: Lease) -> Iterator[Span]:
    event = seen.recorded.event
    if isinstance(event, ev.Silenced):
        yield Span("announced", seen.at, event.until, seen.position, f"announced: {event.reason}")
    if not isinstance(event, ev.Expired | ev.Stuck):
        return
    numbers = event.numbers
    heard = numbers.last_beat_at or lease.granted_at
    if heard < seen.at:
        yield Span("silent", heard, seen.at, seen.position, "not heard")
    if numbers.expires_at < seen.at:
        graced = min(numbers.due_at, seen.at)
        yield Span("grace", numbers.expires_at, graced, seen.position, "past its expiry, in grace")
        if graced < seen.at:
            yield Span("wait", graced, seen.at, seen.position, "past its grace, and not judged yet")
