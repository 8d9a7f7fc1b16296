"""The steps of a task that is held: from the grant through every sign of life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import FoldError
from domain.events import task as ev
from domain.lifecycles import LEASE, LeaseStatus
from domain.policies.cadence import MAX_REPORT_TIMES
from domain.task.record import Lease, Task, stopped_until
from domain.task.transition import current_lease, ended, held, later, moved, record

if TYPE_CHECKING:
    from domain.recorded import Recorded


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
        status=LEASE.next[LeaseStatus.NEW, "granted"],
    )


def leased(task: Task, event: ev.Leased, recorded: Recorded) -> Task:
    return held(task, recorded, _granted(task, event, recorded), task.expiries, None)


def started(task: Task, event: ev.Started, recorded: Recorded) -> Task:
    lease = current_lease(task, event)._replace(started_at=recorded.time)
    return held(task, recorded, lease, task.expiries, task.late_token)


def progressed(task: Task, event: ev.Progressed, recorded: Recorded) -> Task:
    (
        token, agent_id, attempt, granted_at, _, _, _, status, started_at, _, _, note, checkpoint, times_s, _,
        renewals, extensions, escalated, stopped_s,
    ) = current_lease(task, event)  # fmt: skip
    time, message = recorded.time, event.message
    times_s = times_s[-(MAX_REPORT_TIMES - 1) :] + (time.timestamp(),)  # noqa: RUF005 - a star would copy three times
    lease = record(
        Lease,
        (
            token, agent_id, attempt, granted_at, event.lease_s, event.grace_s, event.expires_at, status, started_at,
            event.reports, event.percent, note if message is None else message,
            checkpoint if event.checkpoint is None else event.checkpoint, times_s, time,
            renewals, extensions, escalated, stopped_s,
        ),
    )  # fmt: skip
    return held(task, recorded, lease, 0, task.late_token)


def renewed(task: Task, event: ev.Renewed, recorded: Recorded) -> Task:
    (
        token, agent_id, attempt, granted_at, _, _, _, status, started_at, reports, percent, note, checkpoint, times_s,
        last_beat_at, renewals, extensions, escalated, stopped_s,
    ) = current_lease(task, event)  # fmt: skip
    lease = record(
        Lease,
        (
            token, agent_id, attempt, granted_at, event.lease_s, event.grace_s, event.expires_at, status, started_at,
            reports, percent, note, checkpoint, times_s, later(last_beat_at, recorded.time),
            renewals + 1, extensions, escalated, stopped_s,
        ),
    )  # fmt: skip
    return held(task, recorded, lease, task.expiries, task.late_token)


def silenced(task: Task, event: ev.Silenced, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return moved(
        task,
        recorded,
        lease=lease._replace(
            grace_s=event.grace_s,
            expires_at=event.expires_at,
            last_beat_at=later(lease.last_beat_at, event.until),
        ),
    )


def extended(task: Task, event: ev.Extended, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return moved(
        task,
        recorded,
        lease=lease._replace(grace_s=event.grace_s, expires_at=event.expires_at, extensions=event.extensions),
    )


def escalated(task: Task, event: ev.Escalated, recorded: Recorded) -> Task:
    return moved(task, recorded, lease=current_lease(task, event)._replace(escalated=True))


def stolen(task: Task, event: ev.Stolen, recorded: Recorded) -> Task:
    lease = task.lease
    if lease is None or lease.token != event.previous_token or lease.agent_id != event.from_agent:
        msg = f"stolen names token {event.previous_token} of {event.from_agent}, which is not the current lease"
        raise FoldError(msg)
    return moved(
        task,
        recorded,
        attempt=event.attempt,
        lease=_granted(task, event, recorded),
        last_lease=lease,
        former=ended(task, lease, event.name, lost=True),
        steals=task.steals + 1,
        last_stolen_at=recorded.time,
        status_since=recorded.time,
    )


def stuck(task: Task, event: ev.Stuck, recorded: Recorded) -> Task:
    lease = current_lease(task, event)
    return moved(task, recorded, lease=lease._replace(status=LEASE.next[lease.status, event.name]))


def recovered(task: Task, event: ev.Recovered, recorded: Recorded) -> Task:
    lease = stopped_until(task, current_lease(task, event), recorded.time)
    return moved(
        task,
        recorded,
        lease=lease._replace(
            status=LEASE.next[lease.status, event.name],
            started_at=lease.started_at or recorded.time,
            lease_s=event.lease_s,
            grace_s=event.grace_s,
            expires_at=event.expires_at,
            last_beat_at=later(lease.last_beat_at, recorded.time),
        ),
    )
