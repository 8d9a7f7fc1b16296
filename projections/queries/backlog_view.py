"""`query.backlog`: read off the index that grants are made from, or computed from every queued task.

The service reads it; what folds a log to compare, or to say how it was at a moment, computes it. A test holds both
together.
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.lifecycles import TaskStatus
from domain.timestamps import seconds_between
from domain.values import Priority
from projections.queries.cursors import backlog_cursor, place_in_backlog
from projections.queries.documents import task_summary
from projections.queries.pages import cut_page
from projections.state.backlog import is_delayed, listing_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from domain.task import Task
    from projections.queries.pool_copy import PoolCopy
    from projections.queries.questions import BacklogQuery
    from projections.state.pool_state import PoolState


class BacklogCounts(NamedTuple):
    """What is said of all queued tasks."""

    queued: int
    delayed: int
    by_priority: Mapping[Priority, int]
    oldest: datetime | None
    """Since when the task is queued that has been for the longest time."""


def kept_backlog(query: BacklogQuery, state: PoolState, now: datetime) -> dict[str, Any]:
    """Return a page of the backlog of a state that is acknowledged as a whole; its cost follows the page.

    Raises Refused for an unknown cursor.
    """
    backlog, tasks = state.indexes.backlog, state.tasks
    backlog.advance(now)

    def place_of(task_id: str) -> tuple[float, ...] | None:
        task = tasks.get(task_id)
        queued = task is not None and task.status is TaskStatus.QUEUED
        return listing_order(task, backlog.as_of, state.rules.priority_aging_s) if task is not None and queued else None

    after = place_in_backlog(query.after, place_of) if query.after is not None else ()
    order = {task_id: place for place, task_id in islice(backlog.listing(after), query.limit + 1)}
    oldest = backlog.queued_longest_since()
    counts = BacklogCounts(len(backlog), backlog.delayed, backlog.by_priority, oldest)
    return _document(query, list(order), order.__getitem__, tasks, counts, now)


def backlog_of(query: BacklogQuery, copy: PoolCopy) -> dict[str, Any]:
    """Return the same, computed. Raises Refused for an unknown cursor."""
    queued = [task for task in copy.tasks.values() if task.status is TaskStatus.QUEUED]
    order = {task.task_id: listing_order(task, copy.now, copy.aging_s) for task in queued}
    after = place_in_backlog(query.after, order.get) if query.after is not None else None
    rest = (task_id for task_id in order if after is None or order[task_id] > after)
    chosen = heapq.nsmallest(query.limit + 1, rest, key=order.__getitem__)
    by_priority = dict.fromkeys(Priority, 0)
    for task in queued:
        by_priority[task.definition.priority] += 1
    delayed = sum(is_delayed(task, copy.now) for task in queued)
    oldest = min((task.status_since for task in queued), default=None)
    counts = BacklogCounts(len(queued), delayed, by_priority, oldest)
    return _document(query, chosen, order.__getitem__, copy.tasks, counts, copy.now)


def _document(
    query: BacklogQuery,
    chosen: list[str],
    place_of: Callable[[str], tuple[float, ...]],
    tasks: Mapping[str, Task],
    counts: BacklogCounts,
    now: datetime,
) -> dict[str, Any]:
    page = cut_page("tasks", chosen, query.limit, lambda task_id: task_summary(tasks[task_id]))
    if page["next"] is not None:
        # The place and not the task, which may have been granted when the next page is asked for.
        page["next"] = backlog_cursor(place_of(page["next"]))
    return {
        **page,
        "queued": counts.queued,
        "delayed": counts.delayed,
        "by_priority": {priority.value: counts.by_priority.get(priority, 0) for priority in Priority},
        "oldest_s": None if counts.oldest is None else max(seconds_between(counts.oldest, now), 0.0),
    }
