"""Every view of a pool at one moment, as one document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.timestamps import format_timestamp
from projections.queries.answers import answer
from projections.queries.pool_copy import copy_of
from projections.queries.questions import AgentsQuery, BacklogQuery, LeasesQuery, TasksQuery, WorkloadsQuery
from projections.queries.statistics_view import statistics_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from projections.state.pool_state import PoolState

VIEWS = ("statistics", "backlog", "leases", "workloads", "agents", "tasks")


def views_at(
    state: PoolState,
    totals: Mapping[str, Any],
    now: datetime,
    limit: int,
    heard_at: Callable[[str], datetime | None],
) -> dict[str, Any]:
    """Return the views of a state, computed as they were at `now`; at most `limit` rows each.

    `heard_at` returns when an agent was heard last.
    """
    copy = copy_of(state, now, totals, heard_at)
    return {
        "position": state.position,
        "time": format_timestamp(state.last_time) if state.position else None,
        "now": format_timestamp(now),
        "statistics": statistics_document(copy),
        "backlog": answer(BacklogQuery(limit=limit), copy),
        "leases": answer(LeasesQuery(limit=limit), copy),
        "workloads": answer(WorkloadsQuery(limit=limit), copy),
        "agents": answer(AgentsQuery(limit=limit), copy),
        "tasks": answer(TasksQuery(limit=limit), copy),
    }
