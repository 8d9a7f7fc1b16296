"""A page of `query.tasks` without a filter, read off the live tasks' ids in order; its cost follows the page.

One with a filter goes through all of them (`projections/queries/answers.py`). A test holds both together.
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING, Any

from domain.task import Task
from projections.queries.cursors import named_row, unknown_cursor
from projections.queries.documents import task_summary
from projections.queries.pages import cut_page
from projections.state.ended_entities import ended_at

if TYPE_CHECKING:
    from projections.queries.questions import TasksQuery
    from projections.state.pool_state import PoolState


def kept_tasks(query: TasksQuery, state: PoolState) -> dict[str, Any]:
    """Return a page of a state that is acknowledged as a whole; the query has no filter.

    Raises Refused for an unknown cursor.
    """
    if query.after is not None and named_row(query.view, query.after) is None:
        raise unknown_cursor("is no `next` of a page of this view")
    after = query.after or ""
    ended = {
        key[1]: task
        for key, task in state.ended.recent.items()
        if isinstance(task, Task) and key[1] > after and ended_at(task) > state.ended.ended_through
    }
    live = islice(state.indexes.counts.ids.following(after, str), query.limit + 1)
    chosen = heapq.nsmallest(query.limit + 1, [*live, *(task_id for task_id in ended if task_id not in state.tasks)])
    page = cut_page(
        query.view, chosen, query.limit, lambda task_id: task_summary(state.tasks.get(task_id) or ended[task_id])
    )
    return {**page, "all_ended": not state.ended.ended_through}
