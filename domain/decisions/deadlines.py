"""The failure of a task whose deadline has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import task as ev
from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from domain.draft import Draft
    from domain.task import Task


def fail_overdue(draft: Draft, task: Task, error: str) -> None:
    """Record that a task failed by its deadline, in whatever status; `error` says what found it."""
    deadline = task.definition.deadline
    if deadline is None:
        return
    lease = task.lease
    draft.record_task(
        task.task_id,
        ev.Failed(
            token=task.token,
            agent_id=task.holder,
            error=error,
            numbers=ev.FailedNumbers(
                deadline=deadline,
                overdue_s=seconds_between(deadline, draft.now),
                last_beat_at=lease.last_beat_at if lease else None,
            ),
        ),
    )
