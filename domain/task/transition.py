"""What the steps of the fold share: advancing a task along its lifecycle, its current lease, how a lease ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from domain.actors import acting_agent
from domain.errors import FoldError
from domain.lifecycles import LEASE, TASK
from domain.limits import MAX_FORMER_LEASES
from domain.task.record import FormerLease, Lease, Outcome, Task

if TYPE_CHECKING:
    from datetime import datetime

    from domain.events import task as ev
    from domain.recorded import Recorded


def advance(task: Task, recorded: Recorded, **changes: Any) -> Task:
    """Return the task after this event: its status by the lifecycle, and the changes of the event itself.

    Raises:
        IllegalTransitionError: the lifecycle does not allow the event.
    """
    status = TASK.next[task.status, recorded.event.name]
    return replace(
        task,
        version=recorded.version,
        position=recorded.position,
        status=status,
        status_since=task.status_since if status is task.status else recorded.time,
        **changes,
    )


def current_lease(task: Task, event: ev.HeldEvent) -> Lease:
    """Return the task's lease; raises FoldError unless the event names its token."""
    lease = task.lease
    if lease is None or lease.token != event.token:
        msg = f"{event.name} names token {event.token}; the current one is {lease.token if lease else None}"
        raise FoldError(msg)
    LEASE.next[lease.status, event.name]  # raises where its lifecycle does not allow the event
    return lease


def former_leases(task: Task, lease: Lease, event_name: str, *, lost: bool) -> tuple[FormerLease, ...]:
    """Return the task's former leases, now that the event has ended this one."""
    status = LEASE.next[lease.status, event_name]
    former = FormerLease(lease.token, lease.agent_id, status, lease.granted_at, lost=lost)
    return (*task.former[-(MAX_FORMER_LEASES - 1) :], former)


def outcome_of(recorded: Recorded, lease: Lease | None, detail: str | None) -> Outcome:
    """Return the outcome that this event gives the task."""
    return Outcome(
        event=recorded.event.name,
        at=recorded.time,
        actor=recorded.actor,
        token=lease.token if lease else None,
        agent_id=lease.agent_id if lease else None,
        detail=detail,
        position=recorded.position,
    )


def is_by_holder(recorded: Recorded) -> bool:
    """Whether an agent ended its own lease; else an operator or the service took the task from it."""
    return acting_agent(recorded.actor) is not None


def ended_lease(task: Task, event: ev.Blocked | ev.Completed) -> Lease | None:
    """Return the lease that the event ends, None for a task that is not held.

    Raises:
        FoldError: the event does not name the token of the current lease, or names one where there is none.
        IllegalTransitionError: the lease's lifecycle does not allow the event.
    """
    lease = task.lease
    if event.token != task.token:
        msg = f"{event.name} names token {event.token}, which is not the current lease"
        raise FoldError(msg)
    if lease is not None:
        LEASE.next[lease.status, event.name]  # raises where its lifecycle does not allow the event
    return lease


def latest(known: datetime | None, other: datetime) -> datetime:
    """Return the later of two moments, of which the first may be unknown."""
    return other if known is None or other > known else known
