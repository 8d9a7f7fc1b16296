"""Priority aging: a queued task counts as one priority more urgent for each `aging_s` seconds that it waits.

It waits since it was queued, or since its `not_before`. Steps are computed as moments, never by a quotient of floats,
so that a task has aged exactly at the moment that was announced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.timestamps import after
from domain.values import Priority

if TYPE_CHECKING:
    from datetime import datetime

_HIGHEST_RANK = Priority.CRITICAL.rank


def aged_rank(priority: Priority, waits_since: datetime, now: datetime, aging_s: float) -> int:
    """Return the rank that the task counts as at `now`; `aging_s` 0: its own."""
    rank = priority.rank
    if aging_s <= 0:
        return rank
    steps = 0
    while rank + steps < _HIGHEST_RANK and after(waits_since, (steps + 1) * aging_s) <= now:
        steps += 1
    return rank + steps


def next_aging_at(priority: Priority, waits_since: datetime, now: datetime, aging_s: float) -> datetime | None:
    """Return when the task counts as one priority more than at `now`, or None if it never will."""
    rank = aged_rank(priority, waits_since, now, aging_s)
    if aging_s <= 0 or rank >= _HIGHEST_RANK:
        return None
    return after(waits_since, (rank - priority.rank + 1) * aging_s)
