"""The fold's steps for events on a held task: the grant, every renewal, and steals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from domain.errors import FoldError
from domain.events import task as ev
from domain.lifecycles import LEASE, LeaseStatus
from domain.policies.cadence import MAX_REPORT_TIMES
from domain.task.record import Lease, Task, restart_clock
from domain.task.transition import advance, current_lease, former_leases, latest

if TYPE_CHECKING:
    from domain.recorded import Recorded


def _granted(task: Task, event: ev.Grant, recorded: Recorded) -> Lease:
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
        status=LEASE.next[LeaseStatus.NEW, "granted"],
    )


def leased(task: Task, event: ev.Leased, recorded: Recorded) -> Task:
    return advance(
        task,
        recorded,
        lease=_granted(task, event, recorded),
        late_token=None,
        not_before=None,
        avoids=None,
        avoids_until=None,
    )


def started(task: Task, event: ev.Started, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    advanced_at = latest(lease.advanced_at, recorded.time)
    lease = replace(lease, started_at=recorded.time, advanced_at=advanced_at, stalled_at=None)
    return advance(task, recorded, lease=lease)


def progressed(task: Task, event: ev.Progressed, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    time = recorded.time
    advanced = (
        lease.started_at is None
        or event.percent != lease.percent
        or (event.checkpoint is not None and event.checkpoint != lease.checkpoint)
    )
    lease = replace(
        lease,
        started_at=lease.started_at or time,
        lease_s=event.lease_s,
        grace_s=event.grace_s,
        expires_at=event.expires_at,
        reports=event.reports,
        percent=event.percent,
        note=lease.note if event.message is None else event.message,
        checkpoint=lease.checkpoint if event.checkpoint is None else event.checkpoint,
        # A starred tuple would copy the times three times.
        report_times_s=lease.report_times_s[-(MAX_REPORT_TIMES - 1) :] + (time.timestamp(),),  # noqa: RUF005
        # Either may lie in the future: the end of an announced silence, which a report does not take back.
        last_beat_at=latest(lease.last_beat_at, time),
        advanced_at=latest(lease.advanced_at, time) if advanced else lease.advanced_at,
        stalled_at=None if advanced else lease.stalled_at,
    )
    return advance(task, recorded, lease=lease, expiries=0)


def renewed(task: Task, event: ev.Renewed, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    lease = replace(
        lease,
        lease_s=event.lease_s,
        grace_s=event.grace_s,
        expires_at=event.expires_at,
        last_beat_at=latest(lease.last_beat_at, recorded.time),
        renewals=lease.renewals + 1,
    )
    return advance(task, recorded, lease=lease)


def silenced(task: Task, event: ev.Silenced, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return advance(
        task,
        recorded,
        lease=replace(
            lease,
            grace_s=event.grace_s,
            expires_at=event.expires_at,
            last_beat_at=latest(lease.last_beat_at, event.until),
            advanced_at=latest(lease.advanced_at, event.until),
        ),
    )


def extended(task: Task, event: ev.Extended, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return advance(
        task,
        recorded,
        lease=replace(lease, grace_s=event.grace_s, expires_at=event.expires_at, extensions=event.extensions),
    )


def escalated(task: Task, event: ev.Escalated, recorded: Recorded) -> Task:
    return advance(task, recorded, lease=replace(current_lease(task, event), escalated=True))


def stalled(task: Task, event: ev.Stalled, recorded: Recorded) -> Task:
    return advance(task, recorded, lease=replace(current_lease(task, event), stalled_at=recorded.time))


def stolen(task: Task, event: ev.Stolen, recorded: Recorded) -> Task:
    lease = task.lease
    if lease is None or lease.token != event.previous_token or lease.agent_id != event.from_agent:
        msg = f"stolen names token {event.previous_token} of {event.from_agent}, which is not the current lease"
        raise FoldError(msg)
    after = advance(
        task,
        recorded,
        attempt=event.attempt,
        lease=_granted(task, event, recorded),
        last_lease=lease,
        former=former_leases(task, lease, event.name, lost=True),
        steals=task.steals + 1,
        free_attempts=task.free_attempts + 1,
        last_stolen_at=recorded.time,
    )
    # Still `assigned`, but to another agent: its time in this status begins anew.
    return replace(after, status_since=recorded.time)


def stuck(task: Task, event: ev.Stuck, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    change = event.name if event.clock_runs else "stopped"
    return advance(task, recorded, lease=replace(lease, status=LEASE.next[lease.status, change]))


def recovered(task: Task, event: ev.Recovered, recorded: Recorded) -> Task:
    lease = restart_clock(task, current_lease(task, event), recorded.time)
    return advance(
        task,
        recorded,
        lease=replace(
            lease,
            status=LEASE.next[lease.status, event.name],
            started_at=lease.started_at or recorded.time,
            lease_s=event.lease_s,
            grace_s=event.grace_s,
            expires_at=event.expires_at,
            last_beat_at=latest(lease.last_beat_at, recorded.time),
        ),
    )
