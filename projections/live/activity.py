"""What happened lately, minute by minute: counts, and how long tasks waited, were held and were missed.

Folded from events alone. What began before the first folded event is adopted from the state.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.events import steal as st
from domain.events import task as ev
from domain.lifecycles import LeaseStatus, TaskStatus
from domain.timestamps import EPOCH, after, seconds_between
from projections.live.distribution import Distribution
from projections.live.minute import COUNTS, DURATIONS, Minute
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.recorded import Recorded
    from projections.state.pool_state import PoolState

__all__ = ["COUNTS", "DURATIONS", "Activity"]

MINUTE_S = 60
HOUR_MINUTES = 60
DAY_MINUTES = 24 * 60
RATE_MINUTES = 5
"""Rates are over so many minutes, the present one included."""
MAX_EXPIRED = 10_000
"""Expired leases of which a late report is still recognised, the latest."""


class Activity:
    """The last minutes in which something happened. Memory: these, and the queued tasks."""

    def __init__(self, minutes: int = DAY_MINUTES, known_since: datetime | None = None) -> None:
        """`minutes`: how far back they are kept. `known_since`: every event from then on will be folded.

        Without it nothing counts as known that was before the first folded event, unless that is the log's first.
        """
        self._known_since = known_since
        self._kept_minutes = minutes
        self._minutes: deque[Minute] = deque()
        self._ends_at = EPOCH
        """When the last of them is over."""
        self._begins_at: datetime | None = None
        """The time of the first folded event: what was before is unknown."""
        self._queued: IndexedHeap[str, datetime] = IndexedHeap()
        """Since when each queued task can be granted, or when it can be."""
        self._granted: dict[str, datetime] = {}
        """When each held task was granted to its holder."""
        self._expired: OrderedDict[int, None] = OrderedDict()
        """Tokens of expired leases whose former holders were not heard since."""

        self._takes: dict[type, Callable[[Minute, Recorded, Any], None]] = {
            ev.Submitted: self._submitted,
            ev.Requeued: self._requeued,
            ev.Updated: self._updated,
            ev.Leased: self._leased,
            ev.Progressed: _counted("reports"),
            ev.Completed: self._completed,
            ev.Expired: self._expire,
            ev.LateProgress: self._late,
            ev.Released: self._end_lease,
            ev.Revoked: self._end_lease,
            ev.Failed: self._set_aside,
            ev.Cancelled: self._set_aside,
            ev.Quarantined: self._set_aside,
            ev.Blocked: self._set_aside,
            ev.Stuck: _counted("stuck"),
            ev.Stalled: _counted("stalled"),
            ev.Stolen: self._stolen,
            st.StealCompleted: self._moved,
        }

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events, in their order."""
        takes = self._takes
        if self._begins_at is None and records:
            # Nothing was before the log's first event.
            self._known_since = None if records[0].position <= 1 else self._known_since or records[0].time
        for recorded in records:
            minute = self._minutes[-1] if recorded.time < self._ends_at else self._begin_minute(recorded.time)
            minute.counts["events"] = minute.counts.get("events", 0) + 1
            take = takes.get(type(recorded.event))
            if take is not None:
                take(minute, recorded, recorded.event)

    def adopt(self, state: PoolState) -> None:
        """Take over from the state at the same position what began before the first folded event."""
        self._queued = IndexedHeap()
        for task_id, task in state.tasks.items():
            if task.status is TaskStatus.QUEUED:
                self._queued.set(task_id, task.waits_since)
        self._granted = {
            task_id: task.lease.granted_at for task_id, task in state.tasks.items() if task.lease is not None
        }
        tokens = {
            former.token
            for task in state.tasks.values()
            for former in task.former
            if former.ended is LeaseStatus.EXPIRED and not former.late_reports
        }
        self._expired = OrderedDict.fromkeys(sorted(tokens | self._expired.keys())[-MAX_EXPIRED:])
        if self._begins_at is None and state.position:
            self._begins_at = state.last_time
            self._known_since = self._known_since or state.last_time

    def incomplete_until(self, now: datetime, minutes: int = HOUR_MINUTES) -> datetime | None:
        """Return before which time events of the last minutes are not known; None if all of them are."""
        since, first = self._known_since, after(EPOCH, (_minute_of(now) - minutes + 1) * MINUTE_S)
        return since if since is not None and since > first else None

    def sums(self, now: datetime, minutes: int = HOUR_MINUTES) -> dict[str, Any]:
        """Return the sums of the last minutes: `COUNTS`, and `<duration>_p50_s` and `<duration>_p95_s`, or None."""
        found = self._since(now, minutes)
        sums: dict[str, Any] = {name: sum(each.counts.get(name, 0) for each in found) for name in COUNTS}
        for name in DURATIONS:
            merged = Distribution.of_all(each.durations[name] for each in found if name in each.durations)
            sums[f"{name}_p50_s"], sums[f"{name}_p95_s"] = merged.quantile(0.5), merged.quantile(0.95)
        return sums

    def total(self, name: str, now: datetime, minutes: int = HOUR_MINUTES) -> int:
        """Return how often something of `COUNTS` happened in the last minutes, the present one included."""
        return sum(each.counts.get(name, 0) for each in self._since(now, minutes))

    def per_minute(self, name: str, now: datetime, minutes: int = RATE_MINUTES) -> float:
        """Return how often something of `COUNTS` happened a minute, lately; 0.0 if nothing is known."""
        span_s = self._known_s(now, minutes)
        return self.total(name, now, minutes) * MINUTE_S / span_s if span_s else 0.0

    def queue_grows_per_s(self, now: datetime, minutes: int = RATE_MINUTES) -> float:
        """Return by how many tasks a second the queue has grown lately; negative: it shrinks."""
        span_s = self._known_s(now, minutes)
        return sum(each.queued_net for each in self._since(now, minutes)) / span_s if span_s else 0.0

    def series(self, now: datetime, queued: int, minutes: int = DAY_MINUTES) -> dict[str, list[Any]]:
        """Return the last minutes as columns for plots, the present minute last: `at` (epoch seconds) and others.

        Each of `COUNTS`; `<duration>_p50_s` and `<duration>_p95_s`, null in minutes without one; `queued`, how many
        tasks were queued at the minute's end, from the number that are queued now; `oldest_wait_s`, for how long one of
        them had waited then. Begins with the first folded event.
        """
        last = _minute_of(now)
        first = max(last - minutes + 1, _minute_of(self._begins_at or now))
        known = {each.number: each for each in self._minutes if each.number >= first}
        numbers = range(first, last + 1)
        found = [known.get(number) or Minute(number) for number in numbers]
        columns: dict[str, list[Any]] = {"at": [number * MINUTE_S for number in numbers]}
        for name in COUNTS:
            columns[name] = [each.counts.get(name, 0) for each in found]
        for name in DURATIONS:
            durations = [each.durations.get(name) for each in found]
            columns[f"{name}_p50_s"] = [each and each.quantile(0.5) for each in durations]
            columns[f"{name}_p95_s"] = [each and each.quantile(0.95) for each in durations]
        columns["queued"] = _backwards(queued, [each.queued_net for each in found])
        columns["oldest_wait_s"] = self._oldest_waits_s(numbers, now)
        return columns

    def _oldest_since(self) -> datetime | None:
        oldest = self._queued.peek()
        return oldest[0] if oldest is not None else None

    def _oldest_waits_s(self, numbers: range, now: datetime) -> list[float]:
        """Return for how long a task had waited at each minute's end, or has until now; 0.0 where none did."""
        if self._minutes:
            self._minutes[-1].oldest_since = self._oldest_since()
        since_at = {each.number: each.oldest_since for each in self._minutes}
        # In a minute without events, the same task waits as at the end of the one before.
        before = None if self._minutes else self._oldest_since()
        since = next((since_at[each] for each in reversed(since_at) if each < numbers.start), before)
        waits_s = []
        for number in numbers:
            since = since_at.get(number, since)
            end = min(after(EPOCH, (number + 1) * MINUTE_S), now)
            waits_s.append(max(seconds_between(since, end), 0.0) if since is not None else 0.0)
        return waits_s

    def _since(self, now: datetime, minutes: int) -> list[Minute]:
        first = _minute_of(now) - minutes + 1
        found = []
        for each in reversed(self._minutes):
            if each.number < first:
                break
            found.append(each)
        return found

    def _known_s(self, now: datetime, minutes: int) -> float:
        """Return how much of the last minutes is known, in seconds; at least ten of them once anything is."""
        if self._begins_at is None:
            return 0.0
        first = after(EPOCH, (_minute_of(now) - minutes + 1) * MINUTE_S)
        return max(seconds_between(max(first, self._begins_at), now), 10.0)

    def _begin_minute(self, at: datetime) -> Minute:
        number = _minute_of(at)
        self._ends_at = after(EPOCH, (number + 1) * MINUTE_S)
        if self._begins_at is None:
            self._begins_at = at
        if self._minutes:
            self._minutes[-1].oldest_since = self._oldest_since()
        minute = Minute(number)
        self._minutes.append(minute)
        while self._minutes[0].number <= number - self._kept_minutes:
            self._minutes.popleft()
        return minute

    def _enqueue(self, minute: Minute, recorded: Recorded, not_before: datetime | None) -> None:
        minute.queued_net += recorded.entity_id not in self._queued
        self._queued.set(recorded.entity_id, max(recorded.time, not_before or recorded.time))

    def _dequeue(self, minute: Minute, task_id: str) -> datetime | None:
        since = self._queued.priority(task_id)
        self._queued.remove(task_id)
        minute.queued_net -= since is not None
        return since

    def _submitted(self, minute: Minute, recorded: Recorded, event: ev.Submitted) -> None:
        minute.add("submitted")
        self._enqueue(minute, recorded, event.not_before)

    def _requeued(self, minute: Minute, recorded: Recorded, event: ev.Requeued) -> None:
        minute.add("requeued")
        self._end_lease(minute, recorded)
        self._enqueue(minute, recorded, event.not_before)

    def _updated(self, _: Minute, recorded: Recorded, event: ev.Updated) -> None:
        if recorded.entity_id in self._queued and event.not_before is not None:
            self._queued.set(recorded.entity_id, max(recorded.time, event.not_before))

    def _leased(self, minute: Minute, recorded: Recorded, _: ev.Leased) -> None:
        minute.add("granted")
        since = self._dequeue(minute, recorded.entity_id)
        if since is not None:
            minute.took("wait", seconds_between(since, recorded.time))
        self._granted[recorded.entity_id] = recorded.time

    def _stolen(self, minute: Minute, recorded: Recorded, _: ev.Stolen) -> None:
        minute.add("stolen")
        self._end_lease(minute, recorded)
        self._granted[recorded.entity_id] = recorded.time

    def _end_lease(self, minute: Minute, recorded: Recorded, _: ev.TaskEvent | None = None) -> None:
        """Count how long the task was held; `requeued` and the like end a lease only where its holder failed."""
        since = self._granted.pop(recorded.entity_id, None)
        if since is not None:
            minute.took("hold", seconds_between(since, recorded.time))

    def _expire(self, minute: Minute, recorded: Recorded, event: ev.Expired) -> None:
        minute.add("expired")
        self._end_lease(minute, recorded)
        minute.took("notice", event.numbers.silence_s)
        self._expired[event.token] = None
        if len(self._expired) > MAX_EXPIRED:
            self._expired.popitem(last=False)

    def _late(self, minute: Minute, _: Recorded, event: ev.LateProgress) -> None:
        self._heard_again(minute, event.token)

    def _heard_again(self, minute: Minute, token: int | None) -> None:
        if token is not None and token in self._expired:
            del self._expired[token]
            minute.add("false_recoveries")

    def _completed(self, minute: Minute, recorded: Recorded, event: ev.Completed) -> None:
        minute.add("completed")
        self._dequeue(minute, recorded.entity_id)
        self._end_lease(minute, recorded)
        if event.late:
            self._heard_again(minute, event.token)

    def _set_aside(self, minute: Minute, recorded: Recorded, _: ev.TaskEvent) -> None:
        minute.add(recorded.event.name)
        self._dequeue(minute, recorded.entity_id)
        self._end_lease(minute, recorded)

    def _moved(self, minute: Minute, _: Recorded, event: st.StealCompleted) -> None:
        if event.moved:
            minute.add("steals")


def _counted(name: str) -> Callable[[Minute, Recorded, Any], None]:
    def take(minute: Minute, _: Recorded, __: object) -> None:
        minute.add(name)

    return take


def _backwards(queued: int, net: Sequence[int]) -> list[int]:
    """Return how many tasks were queued at each minute's end, from how many are now."""
    found = []
    for each in reversed(net):
        found.append(max(queued, 0))
        queued -= each
    return found[::-1]


def _minute_of(at: datetime) -> int:
    since = at - EPOCH
    return since.days * DAY_MINUTES + since.seconds // MINUTE_S
