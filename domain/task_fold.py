"""The fold of a task's events: `evolve_task`, one step for each kind of event.

The steps of the events that come most often take the record apart and make the next one by place (`_record`): a
`_replace` costs three times as much, and every report pays it twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from domain.errors import FoldError
from domain.events import task as ev
from domain.lifecycles import LEASE, TASK, LeaseStatus, TaskStatus
from domain.limits import MAX_FORMER_LEASES
from domain.policies.cadence import MAX_REPORT_TIMES
from domain.task import FormerLease, Lease, Outcome, Task, stopped_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.recorded import Recorded

_R = TypeVar("_R", Lease, Task)
_record: Callable[[type[_R], tuple[Any, ...]], _R] = tuple.__new__
"""A record from all of its fields in order."""


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
            status=TASK.next(TaskStatus.NEW, event.name),
            attempt=1,
            queued_position=recorded.position,
            status_since=recorded.time,
        )
    if recorded.version != task.version + 1:
        msg = f"{recorded.originator_id} is at version {task.version}, and {event.name} claims {recorded.version}"
        raise FoldError(msg)
    return _FOLDS[type(event)](task, event, recorded)


def _next(task: Task, recorded: Recorded, **changes: Any) -> Task:
    """Return the task moved along its lifecycle by this event, with the changes applied."""
    status = TASK.next(task.status, recorded.event.name)
    if status is not task.status:
        changes["status"] = status
        changes["status_since"] = recorded.time
    return task._replace(version=recorded.version, position=recorded.position, **changes)


def _held(task: Task, recorded: Recorded, lease: Lease, *, expiries: int, late_token: int | None) -> Task:
    """`_next` for the events that come most often."""
    (
        task_id, _, _, definition, submitted_at, before, attempt, queued_position, since, _, last_lease, former,
        handoff, failures, _, steals, last_stolen_at, _, outcome,
    ) = task  # fmt: skip
    status = TASK.next(before, recorded.event.name)
    return _record(
        Task,
        (
            task_id, recorded.version, recorded.position, definition, submitted_at, status, attempt, queued_position,
            since if status is before else recorded.time, lease, last_lease, former,
            handoff, failures, expiries, steals, last_stolen_at, late_token, outcome,
        ),
    )  # fmt: skip


def _lease(task: Task, event: ev.HeldEvent) -> Lease:
    lease = task.lease
    if lease is None or lease.token != event.token:
        msg = f"{event.name} names token {event.token}; the current one is {lease.token if lease else None}"
        raise FoldError(msg)
    LEASE.next(lease.status, event.name)
    return lease


def _granted(task: Task, event: ev.Leased | ev.Stolen, recorded: Recorded) -> Lease:
    if event.token != recorded.position:
        msg = f"{event.name} at {recorded.position} grants token {event.token}"
        raise FoldError(msg)
    if event.attempt != task.attempt + (isinstance(event, ev.Stolen)):
        msg = f"{event.name} names attempt {event.attempt} of a task at attempt {task.attempt}"
        raise FoldError(msg)
    return Lease(
        token=event.token,
        agent_id=event.agent_id,
        attempt=event.attempt,
        granted_at=recorded.time,
        lease_s=event.lease_s,
        grace_s=event.grace_s,
        expires_at=event.expires_at,
        status=LEASE.next(LeaseStatus.NEW, "granted"),
    )


def _ended(task: Task, lease: Lease, event_name: str, *, lost: bool) -> tuple[FormerLease, ...]:
    ended = LEASE.next(lease.status, event_name)
    former = FormerLease(lease.token, lease.agent_id, ended, lease.granted_at, lost=lost)
    return (*task.former[-(MAX_FORMER_LEASES - 1) :], former)


def _outcome(recorded: Recorded, lease: Lease | None, detail: str | None, result: Any = None) -> Outcome:
    return Outcome(
        event=recorded.event.name,
        at=recorded.time,
        actor=recorded.actor,
        token=lease.token if lease else None,
        agent_id=lease.agent_id if lease else None,
        detail=detail,
        result=result,
    )


def _leased(task: Task, event: ev.Leased, recorded: Recorded) -> Task:
    return _held(task, recorded, _granted(task, event, recorded), expiries=task.expiries, late_token=None)


def _started(task: Task, event: ev.Started, recorded: Recorded) -> Task:
    lease = _lease(task, event)._replace(started_at=recorded.time)
    return _held(task, recorded, lease, expiries=task.expiries, late_token=task.late_token)


def _progressed(task: Task, event: ev.Progressed, recorded: Recorded) -> Task:
    (
        token, agent_id, attempt, granted_at, _, _, _, status, started_at, _, _, note, checkpoint, times_s, _,
        renewals, extensions, escalated, stopped_s,
    ) = _lease(task, event)  # fmt: skip
    time, message = recorded.time, event.message
    times_s = times_s[-(MAX_REPORT_TIMES - 1) :] + (time.timestamp(),)  # noqa: RUF005 - a star would copy three times
    lease = _record(
        Lease,
        (
            token, agent_id, attempt, granted_at, event.lease_s, event.grace_s, event.expires_at, status, started_at,
            event.reports, event.percent, note if message is None else message,
            checkpoint if event.checkpoint is None else event.checkpoint, times_s, time,
            renewals, extensions, escalated, stopped_s,
        ),
    )  # fmt: skip
    return _held(task, recorded, lease, expiries=0, late_token=task.late_token)


def _renewed(task: Task, event: ev.Renewed, recorded: Recorded) -> Task:
    (
        token, agent_id, attempt, granted_at, _, _, _, status, started_at, reports, percent, note, checkpoint, times_s,
        last_beat_at, renewals, extensions, escalated, stopped_s,
    ) = _lease(task, event)  # fmt: skip
    lease = _record(
        Lease,
        (
            token, agent_id, attempt, granted_at, event.lease_s, event.grace_s, event.expires_at, status, started_at,
            reports, percent, note, checkpoint, times_s, _later(last_beat_at, recorded.time),
            renewals + 1, extensions, escalated, stopped_s,
        ),
    )  # fmt: skip
    return _held(task, recorded, lease, expiries=task.expiries, late_token=task.late_token)


def _silenced(task: Task, event: ev.Silenced, recorded: Recorded) -> Task:
    lease = _lease(task, event)
    return _next(
        task,
        recorded,
        lease=lease._replace(
            grace_s=event.grace_s,
            expires_at=event.expires_at,
            last_beat_at=_later(lease.last_beat_at, event.until),
        ),
    )


def _extended(task: Task, event: ev.Extended, recorded: Recorded) -> Task:
    lease = _lease(task, event)
    return _next(
        task,
        recorded,
        lease=lease._replace(grace_s=event.grace_s, expires_at=event.expires_at, extensions=event.extensions),
    )


def _escalated(task: Task, event: ev.Escalated, recorded: Recorded) -> Task:
    return _next(task, recorded, lease=_lease(task, event)._replace(escalated=True))


def _stolen(task: Task, event: ev.Stolen, recorded: Recorded) -> Task:
    lease = task.lease
    if lease is None or lease.token != event.previous_token or lease.agent_id != event.from_agent:
        msg = f"stolen names token {event.previous_token} of {event.from_agent}, which is not the current lease"
        raise FoldError(msg)
    return _next(
        task,
        recorded,
        attempt=event.attempt,
        lease=_granted(task, event, recorded),
        last_lease=lease,
        former=_ended(task, lease, event.name, lost=True),
        steals=task.steals + 1,
        last_stolen_at=recorded.time,
        status_since=recorded.time,
    )


def _released(task: Task, event: ev.Released, recorded: Recorded) -> Task:
    lease = _lease(task, event)
    return _next(
        task,
        recorded,
        lease=None,
        last_lease=lease if event.checkpoint is None else lease._replace(checkpoint=event.checkpoint),
        former=_ended(task, lease, event.name, lost=False),
        outcome=_outcome(recorded, lease, event.reason),
    )


def _revoked(task: Task, event: ev.Revoked, recorded: Recorded) -> Task:
    lease = _lease(task, event)
    return _next(
        task,
        recorded,
        lease=None,
        last_lease=lease,
        former=_ended(task, lease, event.name, lost=True),
        outcome=_outcome(recorded, lease, event.reason),
    )


def _expired(task: Task, event: ev.Expired, recorded: Recorded) -> Task:
    lease = _lease(task, event)
    return _next(
        task,
        recorded,
        lease=None,
        last_lease=lease,
        former=_ended(task, lease, event.name, lost=True),
        expiries=task.expiries + 1,
        late_token=event.token,
        outcome=_outcome(recorded, lease, "lease expired"),
    )


def _stuck(task: Task, event: ev.Stuck, recorded: Recorded) -> Task:
    lease = _lease(task, event)
    return _next(task, recorded, lease=lease._replace(status=LEASE.next(lease.status, event.name)))


def _recovered(task: Task, event: ev.Recovered, recorded: Recorded) -> Task:
    lease = stopped_until(task, _lease(task, event), recorded.time)
    return _next(
        task,
        recorded,
        lease=lease._replace(
            status=LEASE.next(lease.status, event.name),
            started_at=lease.started_at or recorded.time,
            lease_s=event.lease_s,
            grace_s=event.grace_s,
            expires_at=event.expires_at,
            last_beat_at=_later(lease.last_beat_at, recorded.time),
        ),
    )


def _blocked(task: Task, event: ev.Blocked, recorded: Recorded) -> Task:
    lease = _lease(task, event)
    return _next(
        task,
        recorded,
        lease=None,
        last_lease=lease,
        former=_ended(task, lease, event.name, lost=False),
        outcome=_outcome(recorded, lease, event.reason),
    )


def _unblocked(task: Task, event: ev.Unblocked, recorded: Recorded) -> Task:
    return _next(task, recorded, outcome=_outcome(recorded, None, event.reason))


def _quarantined(task: Task, event: ev.Quarantined, recorded: Recorded) -> Task:
    former, failures = _ended_by_failure(task, event)
    return _next(
        task,
        recorded,
        lease=None,
        last_lease=task.lease or task.last_lease,
        former=former,
        failures=failures,
        handoff=event.handoff or task.handoff,
        outcome=_outcome(recorded, task.lease, event.error or event.reason),
    )


def _requeued(task: Task, event: ev.Requeued, recorded: Recorded) -> Task:
    if event.attempt != task.attempt + 1:
        msg = f"requeued names attempt {event.attempt} of a task at attempt {task.attempt}"
        raise FoldError(msg)
    former, failures = _ended_by_failure(task, event)
    return _next(
        task,
        recorded,
        attempt=event.attempt,
        queued_position=recorded.position,
        lease=None,
        last_lease=task.lease or task.last_lease,
        former=former,
        failures=failures,
        expiries=0 if event.cause is ev.Cause.OPERATOR else task.expiries,
        handoff=event.handoff or task.handoff,
        outcome=_outcome(recorded, task.lease, event.error or event.reason),
    )


def _ended_by_failure(task: Task, event: ev.Requeued | ev.Quarantined) -> tuple[tuple[FormerLease, ...], int]:
    """Return the former leases and the failure count after a `requeued` or `quarantined`."""
    failed = event.cause is ev.Cause.FAILURE
    if task.lease is None:
        return task.former, task.failures
    if not failed or event.token != task.lease.token:
        msg = f"{event.name} for {event.cause} meets a task that is held under token {task.lease.token}"
        raise FoldError(msg)
    return _ended(task, task.lease, event.name, lost=False), task.failures + 1


def _completed(task: Task, event: ev.Completed, recorded: Recorded) -> Task:
    if event.late:
        if task.late_token != event.token:
            msg = f"late completion names token {event.token}; the one that may is {task.late_token}"
            raise FoldError(msg)
        former = task.former
    else:
        if task.lease is None or task.lease.token != event.token:
            msg = f"completed names token {event.token}, which is not the current lease"
            raise FoldError(msg)
        former = _ended(task, task.lease, event.name, lost=False)
    return _next(
        task,
        recorded,
        lease=None,
        former=former,
        outcome=Outcome(event.name, recorded.time, recorded.actor, event.token, event.agent_id, None, event.result),
    )


def _failed(task: Task, event: ev.Failed, recorded: Recorded) -> Task:
    lost = event.numbers is not None
    former = _ended(task, task.lease, event.name, lost=lost) if task.lease else task.former
    return _next(
        task,
        recorded,
        lease=None,
        former=former,
        failures=event.failures or task.failures,
        outcome=_outcome(recorded, task.lease, event.error),
    )


def _cancelled(task: Task, event: ev.Cancelled, recorded: Recorded) -> Task:
    former = _ended(task, task.lease, event.name, lost=True) if task.lease else task.former
    return _next(task, recorded, lease=None, former=former, outcome=_outcome(recorded, task.lease, event.reason))


def _late_progress(task: Task, event: ev.LateProgress, recorded: Recorded) -> Task:
    former = tuple(
        each._replace(late_reports=each.late_reports + 1) if each.token == event.token else each for each in task.former
    )
    handoff = task.handoff
    if handoff is not None:
        handoff = handoff.model_copy(
            update={
                "progress": max(handoff.progress, event.percent or 0),
                "last_note": event.message or handoff.last_note,
                "last_checkpoint": handoff.last_checkpoint if event.checkpoint is None else event.checkpoint,
            }
        )
    return task._replace(version=recorded.version, position=recorded.position, former=former, handoff=handoff)


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None or other > one else one


_FOLDS: dict[type, Callable[[Task, Any, Recorded], Task]] = {
    ev.Submitted: lambda task, _event, recorded: _next(task, recorded),
    ev.Leased: _leased,
    ev.Started: _started,
    ev.Progressed: _progressed,
    ev.Renewed: _renewed,
    ev.Silenced: _silenced,
    ev.Extended: _extended,
    ev.Escalated: _escalated,
    ev.Stolen: _stolen,
    ev.Released: _released,
    ev.Revoked: _revoked,
    ev.Expired: _expired,
    ev.Stuck: _stuck,
    ev.Recovered: _recovered,
    ev.Blocked: _blocked,
    ev.Unblocked: _unblocked,
    ev.Quarantined: _quarantined,
    ev.Requeued: _requeued,
    ev.Completed: _completed,
    ev.Failed: _failed,
    ev.Cancelled: _cancelled,
    ev.LateProgress: _late_progress,
}
