"""What the steps of the fold have in common: moving along a lifecycle, the current lease, how a lease ended.

The steps of the events that come most often take the record apart and make the next one by place (`record`): a
`_replace` costs three times as much, and every report pays it twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from domain.errors import FoldError
from domain.events import task as ev
from domain.lifecycles import LEASE, TASK
from domain.limits import MAX_FORMER_LEASES
from domain.task.record import FormerLease, Lease, Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from domain.recorded import Recorded

_R = TypeVar("_R", Lease, Task)
record: Callable[[type[_R], Sequence[Any]], _R] = tuple.__new__
"""A record from all of its fields in order."""
_PLACES = {name: place for place, name in enumerate(Task._fields)}
"""Replacing fields by place costs half as much as by name."""
_VERSION, _POSITION = _PLACES["version"], _PLACES["position"]
_STATUS, _STATUS_SINCE = _PLACES["status"], _PLACES["status_since"]


def moved(task: Task, recorded: Recorded, **changes: Any) -> Task:
    """Return the task moved along its lifecycle by this event, with the changes applied."""
    fields = list(task)
    for name, value in changes.items():
        fields[_PLACES[name]] = value
    status = TASK.next[task.status, recorded.event.name]
    if status is not task.status:
        fields[_STATUS] = status
        fields[_STATUS_SINCE] = recorded.time
    fields[_VERSION] = recorded.version
    fields[_POSITION] = recorded.position
    return record(Task, fields)


def held(task: Task, recorded: Recorded, lease: Lease, expiries: int, late_token: int | None) -> Task:
    """`moved` for the events that come most often."""
    (
        task_id, _, _, definition, submitted_at, before, attempt, queued_position, since, _, last_lease, former,
        handoff, failures, _, steals, last_stolen_at, _, outcome,
    ) = task  # fmt: skip
    status = TASK.next[before, recorded.event.name]
    return record(
        Task,
        (
            task_id, recorded.version, recorded.position, definition, submitted_at, status, attempt, queued_position,
            since if status is before else recorded.time, lease, last_lease, former,
            handoff, failures, expiries, steals, last_stolen_at, late_token, outcome,
        ),
    )  # fmt: skip


def current_lease(task: Task, event: ev.HeldEvent) -> Lease:
    """Return the task's lease; raises FoldError unless the event names its token."""
    lease = task.lease
    if lease is None or lease.token != event.token:
        msg = f"{event.name} names token {event.token}; the current one is {lease.token if lease else None}"
        raise FoldError(msg)
    LEASE.next[lease.status, event.name]  # raises where its lifecycle does not allow the event
    return lease


def ended(task: Task, lease: Lease, event_name: str, *, lost: bool) -> tuple[FormerLease, ...]:
    """Return the former leases once this one has ended."""
    status = LEASE.next[lease.status, event_name]
    former = FormerLease(lease.token, lease.agent_id, status, lease.granted_at, lost=lost)
    return (*task.former[-(MAX_FORMER_LEASES - 1) :], former)


def outcome(recorded: Recorded, lease: Lease | None, detail: str | None, result: Any = None) -> Outcome:
    """Return what this event means for the task."""
    return Outcome(
        event=recorded.event.name,
        at=recorded.time,
        actor=recorded.actor,
        token=lease.token if lease else None,
        agent_id=lease.agent_id if lease else None,
        detail=detail,
        result=result,
    )


def later(one: datetime | None, other: datetime) -> datetime:
    """Return the later moment."""
    return other if one is None or other > one else one
