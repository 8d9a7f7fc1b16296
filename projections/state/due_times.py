"""Tasks by the moment at which a judgement on them falls due. The cost of a sweep follows what is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.due import due_at, not_due_before
from projections.state.indexed_heap import IndexedHeap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from domain.pool import Pool
    from domain.rules import Rules
    from domain.task import Task

SETTLED_AT_ONCE = 1_000
"""Entries that are computed exactly between two turns of the event loop: some 10 ms."""


class DueTimes:
    """A lower bound of each task's due time, computed exactly when it comes to the front.

    Renewals only move a due time later, so they leave the entry where it is; an entry that comes to the front too early
    is put back at its exact time. A floor set by an outage needs no pass over the leases for the same reason.
    """

    def __init__(self, rules: Rules, task: Callable[[str], Task | None]) -> None:
        self._rules = rules
        self._task = task
        self._times: IndexedHeap[str, datetime] = IndexedHeap()

    def __len__(self) -> int:
        return len(self._times)

    def replace(self, task_id: str, new: Task | None) -> None:
        """Follow one task to its new state."""
        due = None if new is None else not_due_before(new, self._rules)
        if due is None:
            self._times.remove(task_id)
            return
        known = self._times.priority(task_id)
        if known is None or due < known:
            self._times.set(task_id, due)

    def replace_pool(self, old: Pool, new: Pool, tasks: Mapping[str, Task]) -> None:
        """Follow the pool; where judging goes on, or a floor is taken back, leases are due sooner than they were."""
        resumed = old.expiry_held and not new.expiry_held
        lowered = old.not_before is not None and (new.not_before is None or new.not_before < old.not_before)
        if resumed or lowered:
            for task_id, task in tasks.items():
                self.replace(task_id, task)

    def due(self, now: datetime, limit: int, pool: Pool) -> list[str]:
        """Return the ids of at most `limit` tasks that are due now, the longest due first; they stay due."""
        found: list[tuple[datetime, str]] = []
        while len(found) < limit and (first := self._times.peek()) is not None and first[0] <= now:
            self._times.pop()
            exact = self._exact(first[1], pool)
            if exact is None:
                continue
            if exact <= now:
                found.append((exact, first[1]))
            else:
                self._times.set(first[1], exact)
        for exact, task_id in found:
            self._times.set(task_id, exact)
        return [task_id for _, task_id in found]

    def settle(self, now: datetime, pool: Pool) -> bool:
        """Put entries of the past that are not due at their exact times; return whether there may be more of them.

        After an outage, which sets a floor, that is all leases. `due` then finds few of them in its way.
        """
        for _ in range(SETTLED_AT_ONCE):
            first = self._times.peek()
            if first is None or first[0] > now:
                return False
            exact = self._exact(first[1], pool)
            if exact is not None and exact <= now:
                return False
            self._put(first[1], exact)
        return True

    def may_be_due(self, task_id: str, now: datetime) -> bool:
        """Return whether a task may be due now; cheap, and never wrong when it says no."""
        bound = self._times.priority(task_id)
        if bound is None or bound > now:
            return False
        task = self._task(task_id)
        current = None if task is None else not_due_before(task, self._rules)
        return current is not None and current <= now

    def may_fall_due_before(self, moment: datetime) -> bool:
        """Return whether some task's lower bound lies before the moment."""
        first = self._times.peek()
        return first is not None and first[0] < moment

    def next_at(self, pool: Pool) -> datetime | None:
        """Return the moment at which the next task falls due, or None if none will.

        It is too early where more than `SETTLED_AT_ONCE` entries are: call it again.
        """
        for _ in range(SETTLED_AT_ONCE):
            first = self._times.peek()
            if first is None:
                return None
            exact = self._exact(first[1], pool)
            if exact is not None and exact <= first[0]:
                break
            self._put(first[1], exact)
        first = self._times.peek()
        return None if first is None else first[0]

    def _put(self, task_id: str, exact: datetime | None) -> None:
        """Put an entry at its exact time; None: it will not fall due."""
        if exact is None:
            self._times.remove(task_id)
        else:
            self._times.set(task_id, exact)

    def _exact(self, task_id: str, pool: Pool) -> datetime | None:
        task = self._task(task_id)
        return None if task is None else due_at(task, pool, self._rules)
