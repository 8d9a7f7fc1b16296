"""Figures over waits, leases and their ends, by the acknowledged log alone: what the service's metrics show of a pool.

Since when tasks wait and are held is not dumped: the tasks of the state say it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Final

from domain.events import task as ev
from domain.lifecycles import LEASE, LeaseStatus, TaskStatus
from domain.timestamps import seconds_between
from projections.state.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from domain.events import Event
    from domain.recorded import Recorded
    from domain.task import Task

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
WAIT_BOUNDS_S: Final = (
    0.01, 0.1, 0.5, 1.0, 5.0, 15.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 3 * _DAY,
)  # fmt: skip
HOLD_BOUNDS_S: Final = (
    0.1, 1.0, 5.0, 15.0, 30.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR,
    _DAY, 3 * _DAY,
)  # fmt: skip
SILENCE_BOUNDS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 2.0, 5.0)
LATE_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE)
SPREAD: Final = 0x9E3779B1
"""Multiplied by this, tokens in any regular pattern are spread evenly over 32 bits: the golden ratio."""
UNFOLLOWED: Final = 0x7000_0000
"""Bits that are 0 in one spread token of eight: the silences of these leases are followed. Most events of a log are
reports; to follow all would add a tenth to a start."""
EXPIRED_KEPT = 10_000
"""Expired leases whose former holders may still show that they were alive, the latest ones."""


_PLAIN_ENDS: Final[tuple[type[ev.TaskEvent], ...]] = (ev.Released, ev.Revoked, ev.Blocked, ev.Cancelled, ev.Quarantined)
"""Events that end a lease, if there is one, and of which nothing else is counted."""
_END_OF: Final = {kind: LEASE.leads_to(kind.name) for kind in _PLAIN_ENDS}


def is_followed(token: int) -> bool:
    """Return whether the silences of a lease are followed."""
    return not token * SPREAD & UNFOLLOWED


class LeaseFigures:
    """Totals and histograms since the log began; they only grow. Times in seconds."""

    def __init__(self) -> None:
        self.waits_s = Histogram(WAIT_BOUNDS_S)
        """From the moment at which a task was queued, and its time had come, to its grant."""
        self.holds_s = Histogram(HOLD_BOUNDS_S)
        """From a grant to the end of the lease."""
        self.silence_ratios = Histogram(SILENCE_BOUNDS)
        """Of reports, recoveries and expiries: the silence before it, as a part of what the lease allowed. Of one lease
        in eight, chosen by token."""
        self.late_s = Histogram(LATE_BOUNDS_S)
        """From the moment at which an expiry or a deadline fell due to its judgement."""
        self.ended: Counter[LeaseStatus] = Counter()
        """Leases that ended, by how."""
        self.false_recoveries = 0
        """Expired leases whose former holder reported or completed later."""
        self._queued_at: dict[str, datetime] = {}
        self._not_before: dict[str, datetime] = {}
        """Of queued tasks that wait for their time, or did."""
        self._granted_at: dict[str, datetime] = {}
        self._beat_at: dict[str, datetime] = {}
        """Of held tasks whose silence is followed: the last report or recorded renewal, else the grant."""
        self._expired: OrderedDict[int, None] = OrderedDict()
        """Tokens of expired leases of which no sign of life came since."""
        self._steps: Mapping[type[Event], Callable[[Recorded, Any], None]] = {
            ev.Submitted: self._submitted,
            ev.Requeued: self._requeued,
            ev.Updated: self._updated,
            ev.Leased: self._leased,
            ev.Stolen: self._stolen,
            ev.Progressed: self._reported,
            ev.Recovered: self._reported,
            ev.Renewed: self._renewed,
            ev.Silenced: self._silenced,
            ev.Expired: self._expired_lease,
            ev.Failed: self._failed,
            ev.Completed: self._completed,
            ev.LateProgress: self._late_progress,
            **dict.fromkeys(_PLAIN_ENDS, self._ended),
        }

    def observe(self, records: Sequence[Recorded]) -> None:
        """Follow acknowledged events."""
        steps = self._steps
        for recorded in records:
            step = steps.get(type(recorded.event))
            if step is not None:
                step(recorded, recorded.event)

    def dump(self) -> dict[str, Any]:
        """Return the figures as JSON has them; `loaded` takes them."""
        return {
            "waits_s": self.waits_s.dump(),
            "holds_s": self.holds_s.dump(),
            "silence_ratios": self.silence_ratios.dump(),
            "late_s": self.late_s.dump(),
            "ended": {status.value: count for status, count in self.ended.items()},
            "false_recoveries": self.false_recoveries,
            "expired": list(self._expired),
        }

    @classmethod
    def loaded(cls, dumped: Mapping[str, Any], tasks: Iterable[Task]) -> LeaseFigures:
        """Return what `dump` gave, where these tasks were live.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        figures = cls()
        for name in ("waits_s", "holds_s", "silence_ratios", "late_s"):
            getattr(figures, name).load(dumped[name])
        figures.ended.update({LeaseStatus(status): int(count) for status, count in dumped["ended"].items()})
        figures.false_recoveries = int(dumped["false_recoveries"])
        figures._expired.update((int(token), None) for token in dumped["expired"])
        for task in tasks:
            lease = task.lease
            if lease is not None:
                figures._granted_at[task.task_id] = lease.granted_at
                if is_followed(lease.token):
                    figures._beat_at[task.task_id] = lease.last_beat_at or lease.granted_at
            elif task.status is TaskStatus.QUEUED:
                figures._queued_at[task.task_id] = task.status_since
                if task.not_before is not None:
                    figures._not_before[task.task_id] = task.not_before
        return figures

    # One step for each kind of event

    def _submitted(self, recorded: Recorded, event: ev.Submitted) -> None:
        self._queued_at[recorded.entity_id] = recorded.time
        if event.not_before is not None:
            self._not_before[recorded.entity_id] = event.not_before

    def _requeued(self, recorded: Recorded, event: ev.Requeued) -> None:
        task_id = recorded.entity_id
        self._end(recorded, LeaseStatus.FAILED)
        # A task that is queued already has waited since then.
        self._queued_at.setdefault(task_id, recorded.time)
        self._not_before.pop(task_id, None)
        if event.not_before is not None:
            self._not_before[task_id] = event.not_before

    def _updated(self, recorded: Recorded, event: ev.Updated) -> None:
        if event.not_before is not None and recorded.entity_id in self._queued_at:
            self._not_before[recorded.entity_id] = event.not_before

    def _leased(self, recorded: Recorded, event: ev.Leased) -> None:
        task_id, since = recorded.entity_id, self._queued_at.pop(recorded.entity_id, recorded.time)
        if self._not_before:
            since = max(since, self._not_before.pop(task_id, since))
        self.waits_s.add(seconds_between(since, recorded.time))
        self._begin(recorded, event)

    def _stolen(self, recorded: Recorded, event: ev.Stolen) -> None:
        self._end(recorded, LeaseStatus.STOLEN)
        self._begin(recorded, event)

    def _reported(self, recorded: Recorded, event: ev.Progressed | ev.Recovered) -> None:
        task_id, time = recorded.entity_id, recorded.time
        before = self._beat_at.get(task_id)
        if before is None:
            return
        silence_s = (time - before).total_seconds()
        if silence_s > 0:
            self._beat_at[task_id] = time
        # It is negative where the end of an announced silence lies ahead, which counts as 0.
        allowed_s = event.lease_s + event.grace_s
        if allowed_s > 0:
            self.silence_ratios.add(silence_s / allowed_s)

    def _renewed(self, recorded: Recorded, _: ev.Renewed) -> None:
        before = self._beat_at.get(recorded.entity_id)
        if before is not None and recorded.time > before:
            self._beat_at[recorded.entity_id] = recorded.time

    def _silenced(self, recorded: Recorded, event: ev.Silenced) -> None:
        before = self._beat_at.get(recorded.entity_id)
        if before is not None and event.until > before:
            self._beat_at[recorded.entity_id] = event.until

    def _expired_lease(self, recorded: Recorded, event: ev.Expired) -> None:
        self._end(recorded, LeaseStatus.EXPIRED)
        numbers = event.numbers
        late_s = seconds_between(numbers.due_at, recorded.time)
        allowed_s = numbers.silence_s - late_s
        if allowed_s > 0 and is_followed(event.token):
            self.silence_ratios.add(numbers.silence_s / allowed_s)
        if not numbers.hard_cap and numbers.last_beat_at is not None:
            # The cadence may have excused the silence beyond the lease's end.
            late_s = min(late_s, numbers.silence_s - numbers.tolerated_silence_s)
        self.late_s.add(late_s)
        self._expired[event.token] = None
        if len(self._expired) > EXPIRED_KEPT:
            self._expired.popitem(last=False)

    def _failed(self, recorded: Recorded, event: ev.Failed) -> None:
        self._end(recorded, LeaseStatus.FAILED)
        self._leave_queue(recorded.entity_id)
        if event.numbers is not None:
            self.late_s.add(event.numbers.overdue_s)

    def _completed(self, recorded: Recorded, event: ev.Completed) -> None:
        if event.late:
            self._show_alive(event.token)
        self._end(recorded, LeaseStatus.COMPLETED)
        self._leave_queue(recorded.entity_id)

    def _late_progress(self, _: Recorded, event: ev.LateProgress) -> None:
        self._show_alive(event.token)

    def _ended(self, recorded: Recorded, event: ev.TaskEvent) -> None:
        how = _END_OF[type(event)]
        if how is not None:
            self._end(recorded, how)
        self._leave_queue(recorded.entity_id)

    def _show_alive(self, token: int | None) -> None:
        if token is not None and token in self._expired:
            del self._expired[token]
            self.false_recoveries += 1

    def _begin(self, recorded: Recorded, event: ev.Grant) -> None:
        self._granted_at[recorded.entity_id] = recorded.time
        if is_followed(event.token):
            self._beat_at[recorded.entity_id] = recorded.time

    def _end(self, recorded: Recorded, how: LeaseStatus) -> None:
        """Count the end of the task's lease, if it is held."""
        granted_at = self._granted_at.pop(recorded.entity_id, None)
        if granted_at is not None:
            self._beat_at.pop(recorded.entity_id, None)
            self.ended[how] += 1
            self.holds_s.add(seconds_between(granted_at, recorded.time))

    def _leave_queue(self, task_id: str) -> None:
        self._queued_at.pop(task_id, None)
        if self._not_before:
            self._not_before.pop(task_id, None)
