"""The fold's steps for events that end a lease, and for events on a task that is not held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from domain.errors import FoldError
from domain.events import task as ev
from domain.handoffs import after_late_report
from domain.limits import MAX_RETRIES_NAMED
from domain.task.record import FormerLease, Lease, Outcome, Task
from domain.task.transition import (
    advance,
    current_lease,
    ended_lease,
    former_leases,
    is_by_holder,
    outcome_of,
)
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.recorded import Recorded


def released(task: Task, event: ev.Released, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    if event.checkpoint is not None:
        lease = replace(lease, checkpoint=event.checkpoint)
    return _without_lease(
        task,
        lease,
        recorded,
        event.reason,
        lost=False,
        releases=task.releases + 1,
        free_attempts=task.free_attempts + 1,
    )


def revoked(task: Task, event: ev.Revoked, recorded: Recorded) -> Task:
    return _without_lease(task, current_lease(task, event), recorded, event.reason, lost=True)


def expired(task: Task, event: ev.Expired, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return _without_lease(
        task, lease, recorded, "lease expired", lost=True, expiries=task.expiries + 1, late_token=event.token
    )


def _without_lease(
    task: Task, lease: Lease, recorded: Recorded, detail: str | None, *, lost: bool, **changes: Any
) -> Task:
    """Return the task after an event that has ended its lease and says no more of it than the changes."""
    return advance(
        task,
        recorded,
        lease=None,
        last_lease=lease,
        former=former_leases(task, lease, recorded.event.name, lost=lost),
        outcome=outcome_of(recorded, lease, detail),
        **changes,
    )


def blocked(task: Task, event: ev.Blocked, recorded: Recorded) -> Task:
    lease = ended_lease(task, event)
    return advance(
        task,
        recorded,
        lease=None,
        last_lease=lease or task.last_lease,
        former=_former(task, event, recorded),
        outcome=outcome_of(recorded, lease, event.reason),
        question=event.question,
        answer=None,
    )


def _former(task: Task, event: ev.TaskEvent, recorded: Recorded) -> tuple[FormerLease, ...]:
    """Return the former leases after an event that ends the current one, if there is one."""
    if task.lease is None:
        return task.former
    return former_leases(task, task.lease, event.name, lost=not is_by_holder(recorded))


def unblocked(task: Task, event: ev.Unblocked, recorded: Recorded) -> Task:
    return advance(task, recorded, outcome=outcome_of(recorded, None, event.reason), answer=event.answer)


def quarantined(task: Task, event: ev.Quarantined, recorded: Recorded) -> Task:
    former, failures = _ended_by_failure(task, event, recorded)
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
    former, failures = _ended_by_failure(task, event, recorded)
    if event.budgets_anew:
        failures = 0
        task = replace(task, steals=0, releases=0, free_attempts=task.attempt)
    elif not _was_attempted(task):
        task = replace(task, free_attempts=task.free_attempts + 1)
    avoids, avoids_until = _preference(task, event, recorded)
    return advance(
        task,
        recorded,
        attempt=event.attempt,
        not_before=event.not_before,
        avoids=avoids,
        avoids_until=avoids_until,
        queued_position=recorded.position,
        lease=None,
        last_lease=task.lease or task.last_lease,
        former=former,
        failures=failures,
        expiries=0 if event.cause is ev.Cause.OPERATOR else task.expiries,
        handoff=event.handoff or task.handoff,
        outcome=outcome_of(recorded, task.lease, event.error or event.reason),
    )


def _was_attempted(task: Task) -> bool:
    """Return whether an agent was granted the present attempt: an operator can end one that is still queued."""
    lease = task.lease or task.last_lease
    return lease is not None and lease.attempt == task.attempt


def _preference(task: Task, event: ev.Requeued, recorded: Recorded) -> tuple[str | None, datetime | None]:
    """Return the agent to which others are preferred for the next attempt, and until when; None: to none.

    To one that failed: for as long again as the task waits. To one whose task stalled: as the event says.
    """
    not_before = event.not_before
    if task.lease is not None and not_before is not None:
        return task.lease.agent_id, after(not_before, seconds_between(recorded.time, not_before))
    if task.last_lease is not None and event.others_until is not None:
        return task.last_lease.agent_id, event.others_until
    return None, None


def _ended_by_failure(
    task: Task, event: ev.Requeued | ev.Quarantined, recorded: Recorded
) -> tuple[tuple[FormerLease, ...], int]:
    """Return the former leases and the failure count after a `requeued` or `quarantined`."""
    failed = event.cause is ev.Cause.FAILURE
    if task.lease is None:
        return task.former, task.failures + failed
    if not failed or event.token != task.lease.token:
        msg = f"{event.name} for {event.cause} meets a task that is held under token {task.lease.token}"
        raise FoldError(msg)
    return _former(task, event, recorded), task.failures + 1


def completed(task: Task, event: ev.Completed, recorded: Recorded) -> Task:
    if event.late:
        if task.late_token != event.token:
            msg = f"late completion names token {event.token}; the one that may is {task.late_token}"
            raise FoldError(msg)
        former = task.former
    else:
        ended_lease(task, event)
        former = _former(task, event, recorded)
    return advance(
        task,
        recorded,
        lease=None,
        former=former,
        outcome=Outcome(
            event.name,
            recorded.time,
            recorded.actor,
            event.token,
            event.agent_id,
            None,
            event.result,
            position=recorded.position,
        ),
    )


def failed(task: Task, event: ev.Failed, recorded: Recorded) -> Task:
    return advance(
        task,
        recorded,
        lease=None,
        former=_former(task, event, recorded),
        failures=event.failures or task.failures,
        outcome=outcome_of(recorded, task.lease, event.error),
    )


def cancelled(task: Task, event: ev.Cancelled, recorded: Recorded) -> Task:
    return advance(
        task,
        recorded,
        lease=None,
        former=_former(task, event, recorded),
        outcome=outcome_of(recorded, task.lease, event.reason),
    )


def noted(task: Task, event: ev.Noted, recorded: Recorded) -> Task:
    retries = task.retries
    if event.retried_as is not None:
        retries = (*retries[-(MAX_RETRIES_NAMED - 1) :], event.retried_as)
    return replace(task, version=recorded.version, position=recorded.position, retries=retries)


def late_progress(task: Task, event: ev.LateProgress, recorded: Recorded) -> Task:
    former = tuple(
        replace(each, late_reports=each.late_reports + 1) if each.token == event.token else each for each in task.former
    )
    handoff = None if task.handoff is None else after_late_report(task.handoff, event)
    return replace(task, version=recorded.version, position=recorded.position, former=former, handoff=handoff)
