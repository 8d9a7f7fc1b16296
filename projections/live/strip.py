"""The strip on top of every page: whether what is shown is live, and the pool in a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.timestamps import after, format_timestamp, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from projections.live.activity import Activity
    from projections.live.service_health import ServiceHealth
    from projections.state.pool_state import PoolState

LONGEST_ESTIMATE_S = 30 * 86_400.0
"""No backlog is said to be empty later than that."""


def strip(
    state: PoolState,
    activity: Activity,
    now: datetime,
    *,
    mode: str,
    behind_events: int,
    health: ServiceHealth | None,
) -> dict[str, Any]:
    """Return the strip's document; its cost does not grow with the pool.

    `{served_by, served, position, mode, behind_events, last_event_at, intake, expiry_held, held, queued, delayed,
    agents, oldest_wait_s, oldest_since, throughput_per_min, expiries_1h, false_recoveries_1h, last_hour_since,
    backlog_empty_at}`.
    `served`: whether the service answers; null: not known. `oldest_wait_s`: how long the task waits that waits longest,
    of those that could be granted; `oldest_since` is for who shows that by a clock of its own.
    `last_hour_since`: what is counted of the last hour begins only then; null: all of it is counted.
    `backlog_empty_at`: null if it does not shrink.
    """
    state.indexes.backlog.advance(now)
    oldest, since = state.indexes.backlog.ready_longest_since(), activity.incomplete_until(now)
    return {
        "served_by": (health.leader if health is not None else None) or state.pool.leader,
        "served": None if health is None or not health.is_known else health.failing_since is None,
        "position": state.position,
        "mode": mode,
        "behind_events": behind_events,
        "last_event_at": format_timestamp(state.last_time) if state.position else None,
        "intake": state.pool.intake.value,
        "expiry_held": state.pool.expiry_held,
        "held": state.indexes.counts.held,
        "queued": len(state.indexes.backlog),
        "delayed": state.indexes.backlog.delayed,
        "agents": len(state.agents),
        "oldest_wait_s": None if oldest is None else round(max(seconds_between(oldest, now), 0.0), 1),
        "oldest_since": None if oldest is None else format_timestamp(oldest),
        "throughput_per_min": round(activity.per_minute("completed", now), 2),
        "expiries_1h": activity.total("expired", now),
        "false_recoveries_1h": activity.total("false_recoveries", now),
        "last_hour_since": None if since is None else format_timestamp(since),
        "backlog_empty_at": _empty_at(len(state.indexes.backlog), activity.queue_grows_per_s(now), now),
    }


def _empty_at(queued: int, grows_per_s: float, now: datetime) -> str | None:
    if not queued or grows_per_s >= 0 or queued / -grows_per_s > LONGEST_ESTIMATE_S:
        return None
    return format_timestamp(after(now, queued / -grows_per_s).replace(microsecond=0))
