"""`evolve_task`: one step for each kind of event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from domain.errors import no_beginning, out_of_order
from domain.events import task as ev
from domain.lifecycles import TASK, TaskStatus
from domain.task import at_end, while_held
from domain.task.definition import definition_of
from domain.task.record import Task
from domain.task.transition import advance
from domain.timestamps import after, seconds_between

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
            raise no_beginning(recorded)
        return Task(
            task_id=recorded.entity_id,
            version=1,
            position=recorded.position,
            definition=definition_of(event),
            submitted_at=recorded.time,
            status=TASK.next[TaskStatus.NEW, event.name],
            attempt=1,
            queued_position=recorded.position,
            status_since=recorded.time,
            submitted_position=recorded.position,
            not_before=event.not_before,
            traceparent=recorded.traceparent or None,
        )
    if recorded.version != task.version + 1:
        raise out_of_order(recorded, task.version)
    return _FOLDS[type(event)](task, event, recorded)


def _updated(task: Task, event: ev.Updated, recorded: Recorded) -> Task:
    given = {name: value for name, value in event if value is not None and name != "no_deadline"}
    if event.no_deadline:
        given["deadline"] = None
    changes: dict[str, Any] = {"definition": replace(task.definition, **given)}
    if event.not_before is not None:
        changes["not_before"] = event.not_before
        if task.not_before is not None and task.avoids_until is not None:
            preferred_s = seconds_between(task.not_before, task.avoids_until)
            changes["avoids_until"] = after(event.not_before, preferred_s)
    return advance(task, recorded, **changes)


_FOLDS: dict[type, Callable[[Task, Any, Recorded], Task]] = {
    ev.Submitted: lambda task, _event, recorded: advance(task, recorded),
    ev.Leased: while_held.leased,
    ev.Started: while_held.started,
    ev.Progressed: while_held.progressed,
    ev.Renewed: while_held.renewed,
    ev.Silenced: while_held.silenced,
    ev.Extended: while_held.extended,
    ev.Escalated: while_held.escalated,
    ev.Stalled: while_held.stalled,
    ev.Stolen: while_held.stolen,
    ev.Released: at_end.released,
    ev.Revoked: at_end.revoked,
    ev.Expired: at_end.expired,
    ev.Stuck: while_held.stuck,
    ev.Recovered: while_held.recovered,
    ev.Blocked: at_end.blocked,
    ev.Unblocked: at_end.unblocked,
    ev.Quarantined: at_end.quarantined,
    ev.Requeued: at_end.requeued,
    ev.Completed: at_end.completed,
    ev.Failed: at_end.failed,
    ev.Cancelled: at_end.cancelled,
    ev.LateProgress: at_end.late_progress,
    ev.Noted: at_end.noted,
    ev.Updated: _updated,
}
