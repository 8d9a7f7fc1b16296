"""What `query.health` says of a pool that its log tells: a service says more of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.timestamps import format_timestamp
from projections.queries.documents import tail_loss_document

if TYPE_CHECKING:
    from handlers.memory.memory import Memory


def log_health(memory: Memory, end: int) -> dict[str, Any]:
    """Return it; `end` is the log's last position."""
    state = memory.state
    pool = state.pool
    return {
        "position": state.position,
        "lag": max(end - state.position, 0),
        "live_tasks": len(state.tasks),
        "agents": len(state.agents),
        "queued": len(state.indexes.backlog),
        "intake": pool.intake.value,
        "not_before": format_timestamp(pool.not_before) if pool.not_before else None,
        "unreadable_events": memory.unreadable_count,
        "unreadable": [unreadable._asdict() for unreadable in memory.unreadable],
        "tail_losses": [tail_loss_document(each) for each in pool.tail_losses],
        "last_event_at": format_timestamp(state.last_time),
    }
