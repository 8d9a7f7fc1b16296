"""The ids of the live tasks in order, and counts over them and their leases, kept at every event."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from domain.lifecycles import TERMINAL, LeaseStatus, TaskStatus
from domain.timestamps import EPOCH, after
from projections.state.sorted_keys import SortedKeys

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime, timedelta

    from domain.pool import Pool
    from domain.task import Lease, Task


class Phases(NamedTuple):
    """How many leases are in which phase at a moment, as far as their second tells."""

    active: int
    expiring_soon: int
    in_grace: int
    stopped: int
    unclear: list[str]
    """Tasks whose leases have to be looked at: of the second in which a phase begins, or under a floor."""


class LiveCounts:
    """How many tasks have each status, and what is counted of the leases that are held."""

    def __init__(self) -> None:
        self.ids: SortedKeys[str] = SortedKeys()
        self.statuses: Counter[TaskStatus] = Counter()
        self.held = 0
        self.escalated = 0
        self.stalled = 0
        self._stopped = 0
        self._renewals: Counter[int] = Counter()
        """Reports and renewals of a lease: how many leases have so many."""
        self._by_second: dict[int, set[str]] = {}
        """The tasks whose leases run, by the second since 1970 in which the lease expires."""

    def fill(self, tasks: Collection[Task]) -> None:
        """Count many live tasks where none is counted yet; as `replace` for each, and quicker."""
        self.ids = SortedKeys(task.task_id for task in tasks)
        self.statuses.update([task.status for task in tasks])
        for task in tasks:
            if task.lease is not None:
                self._put_in(task.task_id, task.lease)

    def replace(self, task_id: str, old: Task | None, new: Task | None) -> None:
        """Follow one task from its old state to its new one; what has ended counts as nothing."""
        before = None if old is None or old.status in TERMINAL else old
        now = None if new is None or new.status in TERMINAL else new
        if before is not None:
            self.statuses[before.status] -= 1
            if now is None:
                self.ids.remove(task_id)
        if now is not None:
            self.statuses[now.status] += 1
            if before is None:
                self.ids.add(task_id)
        self.replace_lease(task_id, None if before is None else before.lease, None if now is None else now.lease)

    def replace_lease(self, task_id: str, old: Lease | None, new: Lease | None) -> None:
        """Follow a task's lease."""
        if old is new:
            return
        if old is not None:
            self._take_out(task_id, old)
        if new is not None:
            self._put_in(task_id, new)

    @property
    def renewals_mean(self) -> float:
        """Reports and renewals of a lease, on average."""
        return sum(each * count for each, count in self._renewals.items()) / self.held if self.held else 0.0

    @property
    def renewals_high(self) -> int:
        """The most reports and renewals that a lease has."""
        return max(self._renewals, default=0)

    def phases(self, pool: Pool, now: datetime, warning_s: float) -> Phases:
        """Return how many leases are in each phase; the cost follows the seconds in which leases expire.

        Those under a floor of the pool are expiring soon until it ends, which differs by lease.
        """
        this, soon = _second_of(now - EPOCH), _second_of(after(now, warning_s) - EPOCH)
        floored = pool.not_before is not None and pool.not_before > now
        floor_ends = not floored and pool.not_before is not None and after(pool.not_before, pool.jitter_s) > now
        active = expiring_soon = in_grace = 0
        unclear: list[str] = []
        for second, task_ids in self._by_second.items():
            if second > soon:
                active += len(task_ids)
            elif second == soon or (second == this and not floored) or (second < this and floor_ends):
                unclear += task_ids
            elif second > this or floored:
                expiring_soon += len(task_ids)
            else:
                in_grace += len(task_ids)
        return Phases(active, expiring_soon, in_grace, self._stopped, unclear)

    def _put_in(self, task_id: str, lease: Lease) -> None:
        self.held += 1
        self.escalated += lease.escalated
        self.stalled += lease.stalled_at is not None
        self._renewals[lease.reports + lease.renewals] += 1
        if lease.status is LeaseStatus.STOPPED:
            self._stopped += 1
            return
        second = _second_of(lease.expires_at - EPOCH)
        tasks = self._by_second.get(second)
        if tasks is None:
            self._by_second[second] = {task_id}
        else:
            tasks.add(task_id)

    def _take_out(self, task_id: str, lease: Lease) -> None:
        self.held -= 1
        self.escalated -= lease.escalated
        self.stalled -= lease.stalled_at is not None
        renewals = lease.reports + lease.renewals
        self._renewals[renewals] -= 1
        if not self._renewals[renewals]:
            del self._renewals[renewals]
        if lease.status is LeaseStatus.STOPPED:
            self._stopped -= 1
            return
        second = _second_of(lease.expires_at - EPOCH)
        tasks = self._by_second[second]
        tasks.remove(task_id)
        if not tasks:
            del self._by_second[second]


def _second_of(since: timedelta) -> int:
    return since.days * 86_400 + since.seconds
