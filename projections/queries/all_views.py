"""Every view of a pool at one moment, as one document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.timestamps import format_timestamp
from projections.queries.answers import answer, snapshot, statistics_document
from projections.queries.questions import AgentsQuery, BacklogQuery, LeasesQuery, TasksQuery, WorkloadsQuery

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from projections.state.pool_state import PoolState

VIEWS = ("statistics", "backlog", "leases", "workloads", "agents", "tasks")


def views_at(state: PoolState, totals: Mapping[str, Any], now: datetime, limit: int) -> dict[str, Any]:
    """Return the views of a state, computed as they were at `now`; at most `limit` rows each."""
    shot = snapshot(state, now, totals, lambda _: None)
    return {
        "position": state.position,
        "time": format_timestamp(state.last_time) if state.position else None,
        "now": format_timestamp(now),
        "statistics": statistics_document(shot),
        "backlog": answer(BacklogQuery(limit=limit), shot),
        "leases": answer(LeasesQuery(limit=limit), shot),
        "workloads": answer(WorkloadsQuery(limit=limit), shot),
        "agents": answer(AgentsQuery(limit=limit), shot),
        "tasks": answer(TasksQuery(limit=limit), shot),
    }
