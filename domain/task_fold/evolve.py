"""One step for each kind of event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.errors import FoldError
from domain.events import task as ev
from domain.lifecycles import TASK, TaskStatus
from domain.task import Task
from domain.task_fold import ending, holding
from domain.task_fold.steps import moved

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.recorded import Recorded


def evolve_task(task: Task | None, recorded: Recorded) -> Task:
    """Return the task after one more event.

    Raises:
        FoldError: the event is not the next one of this task, or its token is not the current one.
        IllegalTransitionError: the lifecycle forbids it.
    """
    event = recorded.event
    if task is None:
        if not isinstance(event, ev.Submitted) or recorded.version != 1:
            msg = f"{recorded.originator_id} begins with {event.name} at version {recorded.version}"
            raise FoldError(msg)
        return Task(
            task_id=recorded.entity_id,
            version=1,
            position=recorded.position,
            definition=event,
            submitted_at=recorded.time,
            status=TASK.next[TaskStatus.NEW, event.name],
            attempt=1,
            queued_position=recorded.position,
            status_since=recorded.time,
        )
    if recorded.version != task.version + 1:
        msg = f"{recorded.originator_id} is at version {task.version}, and {event.name} claims {recorded.version}"
        raise FoldError(msg)
    return _FOLDS[type(event)](task, event, recorded)


_FOLDS: dict[type, Callable[[Task, Any, Recorded], Task]] = {
    ev.Submitted: lambda task, _event, recorded: moved(task, recorded),
    ev.Leased: holding.leased,
    ev.Started: holding.started,
    ev.Progressed: holding.progressed,
    ev.Renewed: holding.renewed,
    ev.Silenced: holding.silenced,
    ev.Extended: holding.extended,
    ev.Escalated: holding.escalated,
    ev.Stolen: holding.stolen,
    ev.Released: ending.released,
    ev.Revoked: ending.revoked,
    ev.Expired: ending.expired,
    ev.Stuck: holding.stuck,
    ev.Recovered: holding.recovered,
    ev.Blocked: ending.blocked,
    ev.Unblocked: ending.unblocked,
    ev.Quarantined: ending.quarantined,
    ev.Requeued: ending.requeued,
    ev.Completed: ending.completed,
    ev.Failed: ending.failed,
    ev.Cancelled: ending.cancelled,
    ev.LateProgress: ending.late_progress,
}
