"""What a person may do with a task or an agent, by what it is now: the verbs that the service would not refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.lifecycles import TASK
from domain.statuses import REQUEUEABLE, AgentStatus, IntakeStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

POOL_ACTIONS = ("pause", "resume", "drain")
"""What may be done with a whole pool."""
_EVENT_OF = {
    "unblock": "unblocked",
    "requeue": "requeued",
    "revoke": "revoked",
    "steal": "stolen",
    "cancel": "cancelled",
}
"""The verbs on tasks that have not ended, and the event that each is about."""


def task_actions(status: TaskStatus) -> tuple[str, ...]:
    """Return the verbs for a task of a status."""
    return tuple(
        verb
        for verb, event in _EVENT_OF.items()
        if TASK.allows(status, event) and (verb != "requeue" or status in REQUEUEABLE)
    ) + (("retry",) if status in {TaskStatus.FAILED, TaskStatus.CANCELLED} else ())


def agent_actions(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the verbs for an agent, by its row. Only what has not begun is stolen, and nothing of a lost agent."""
    intake, holds = row["intake"], row["holds"]
    # A row names only some of what its agent holds.
    may_have = len(holds) < row["held"] or any(each["status"] == TaskStatus.ASSIGNED for each in holds)
    return (
        "pause" if intake == IntakeStatus.OPEN else "resume",
        *(("drain",) if intake != IntakeStatus.DRAINING else ()),
        *(("steal",) if may_have and row["status"] == AgentStatus.LIVE else ()),
    )
