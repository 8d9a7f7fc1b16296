"""The fold's steps for events that end a lease, and for events on a task that is not held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from domain.errors import FoldError
from domain.events import task as ev
from domain.task.record import FormerLease, Outcome, Task
from domain.task.transition import advance, current_lease, former_leases, outcome_of
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.recorded import Recorded


def released(task: Task, event: ev.Released, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return advance(
        task,
        recorded,
        lease=None,
        last_lease=lease if event.checkpoint is None else replace(lease, checkpoint=event.checkpoint),
        former=former_leases(task, lease, event.name, lost=False),
        outcome=outcome_of(recorded, lease, event.reason),
    )


def revoked(task: Task, event: ev.Revoked, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return advance(
        task,
        recorded,
        lease=None,
        last_lease=lease,
        former=former_leases(task, lease, event.name, lost=True),
        outcome=outcome_of(recorded, lease, event.reason),
    )


def expired(task: Task, event: ev.Expired, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return advance(
        task,
        recorded,
        lease=None,
        last_lease=lease,
        former=former_leases(task, lease, event.name, lost=True),
        expiries=task.expiries + 1,
        late_token=event.token,
        outcome=outcome_of(recorded, lease, "lease expired"),
    )


def blocked(task: Task, event: ev.Blocked, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return advance(
        task,
        recorded,
        lease=None,
        last_lease=lease,
        former=former_leases(task, lease, event.name, lost=False),
        outcome=outcome_of(recorded, lease, event.reason),
    )


def unblocked(task: Task, event: ev.Unblocked, recorded: Recorded) -> Task:
    return advance(task, recorded, outcome=outcome_of(recorded, None, event.reason))


def quarantined(task: Task, event: ev.Quarantined, recorded: Recorded) -> Task:
    former, failures = _ended_by_failure(task, event)
    return advance(
        task,
        recorded,
        lease=None,
        last_lease=task.lease or task.last_lease,
        former=former,
        failures=failures,
        handoff=event.handoff or task.handoff,
        outcome=outcome_of(recorded, task.lease, event.error or event.reason),
    )


def requeued(task: Task, event: ev.Requeued, recorded: Recorded) -> Task:
    if event.attempt != task.attempt + 1:
        msg = f"requeued names attempt {event.attempt} of a task at attempt {task.attempt}"
        raise FoldError(msg)
    former, failures = _ended_by_failure(task, event)
    avoids = task.lease.agent_id if task.lease is not None and event.not_before is not None else None
    return advance(
        task,
        recorded,
        attempt=event.attempt,
        not_before=event.not_before,
        avoids=avoids,
        avoids_until=_avoids_until(event, recorded) if avoids is not None else None,
        queued_position=recorded.position,
        lease=None,
        last_lease=task.lease or task.last_lease,
        former=former,
        failures=failures,
        expiries=0 if event.cause is ev.Cause.OPERATOR else task.expiries,
        handoff=event.handoff or task.handoff,
        outcome=outcome_of(recorded, task.lease, event.error or event.reason),
    )


def _avoids_until(event: ev.Requeued, recorded: Recorded) -> datetime | None:
    """Return until when other agents are preferred to the one that failed: for as long again as the task waits."""
    not_before = event.not_before
    return None if not_before is None else after(not_before, seconds_between(recorded.time, not_before))


def _ended_by_failure(task: Task, event: ev.Requeued | ev.Quarantined) -> tuple[tuple[FormerLease, ...], int]:
    """Return the former leases and the failure count after a `requeued` or `quarantined`."""
    failed = event.cause is ev.Cause.FAILURE
    if task.lease is None:
        return task.former, task.failures
    if not failed or event.token != task.lease.token:
        msg = f"{event.name} for {event.cause} meets a task that is held under token {task.lease.token}"
        raise FoldError(msg)
    return former_leases(task, task.lease, event.name, lost=False), task.failures + 1


def completed(task: Task, event: ev.Completed, recorded: Recorded) -> Task:
    if event.late:
        if task.late_token != event.token:
            msg = f"late completion names token {event.token}; the one that may is {task.late_token}"
            raise FoldError(msg)
        former = task.former
    else:
        if task.lease is None or task.lease.token != event.token:
            msg = f"completed names token {event.token}, which is not the current lease"
            raise FoldError(msg)
        former = former_leases(task, task.lease, event.name, lost=False)
    return advance(
        task,
        recorded,
        lease=None,
        former=former,
        outcome=Outcome(event.name, recorded.time, recorded.actor, event.token, event.agent_id, None, event.result),
    )


def failed(task: Task, event: ev.Failed, recorded: Recorded) -> Task:
    lost = event.numbers is not None
    former = former_leases(task, task.lease, event.name, lost=lost) if task.lease else task.former
    return advance(
        task,
        recorded,
        lease=None,
        former=former,
        failures=event.failures or task.failures,
        outcome=outcome_of(recorded, task.lease, event.error),
    )


def cancelled(task: Task, event: ev.Cancelled, recorded: Recorded) -> Task:
    former = former_leases(task, task.lease, event.name, lost=True) if task.lease else task.former
    return advance(task, recorded, lease=None, former=former, outcome=outcome_of(recorded, task.lease, event.reason))


def late_progress(task: Task, event: ev.LateProgress, recorded: Recorded) -> Task:
    former = tuple(
        replace(each, late_reports=each.late_reports + 1) if each.token == event.token else each for each in task.former
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
    return replace(task, version=recorded.version, position=recorded.position, former=former, handoff=handoff)
