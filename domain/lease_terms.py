"""A lease's expiry: policies, caps, and the rule that a renewal never shortens. And a lease as its holder sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from domain.policies.lease import Terms, first_terms, renewal_terms
from domain.timestamps import after, format_timestamp, seconds_between

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from domain.task import Lease, Task


class Expiry(msgspec.Struct, frozen=True, gc=False):
    """When a lease runs out, on which terms."""

    lease_s: float
    grace_s: float
    expires_at: datetime


def first_expiry(task: Task, now: datetime) -> Expiry:
    """Return the expiry of a lease granted now."""
    definition = task.definition
    terms = first_terms(
        definition.lease,
        estimated_hours=definition.estimated_hours,
        priority=definition.priority,
        labels=definition.labels,
    )
    lease_s = min(terms.lease_s, definition.lease.max_lease_s)
    return Expiry(lease_s, terms.grace_s, after(now, lease_s))


def hard_cap(task: Task, lease: Lease) -> datetime:
    """Return the moment beyond which nothing renews the lease (`max_lease_s`); its clock stands still while stuck."""
    return after(lease.granted_at, task.definition.lease.max_lease_s + lease.stopped_s)


def at_hard_cap(task: Task, lease: Lease) -> bool:
    """Return whether the lease already runs to its hard cap, so that nothing renews it any more."""
    return lease.expires_at >= hard_cap(task, lease)


def renewed_expiry(task: Task, lease: Lease, now: datetime, *, reports: int, percent: int) -> Expiry:
    """Return the expiry that a sign of life earns now; never earlier than the lease has, never past its hard cap."""
    definition = task.definition
    terms = renewal_terms(
        definition.lease, reports=reports, percent=percent, estimated_hours=definition.estimated_hours
    )
    return moved_expiry(task, lease, terms, after(now, terms.lease_s))


def moved_expiry(task: Task, lease: Lease, terms: Terms, wanted: datetime) -> Expiry:
    """Return the lease's expiry moved to `wanted` as far as the rules allow."""
    expires_at = max(lease.expires_at, min(wanted, hard_cap(task, lease)))
    # Neither the expiry nor the end of grace moves to an earlier time.
    kept_s = lease.grace_s - seconds_between(lease.expires_at, expires_at)
    grace_s = max(terms.grace_s, kept_s)
    return Expiry(terms.lease_s, grace_s, expires_at)


def lease_document(task: Task, now: datetime) -> dict[str, Any]:
    """Return a held task's lease as the contract shows it to its holder."""
    lease = task.held_lease
    definition = task.definition
    handoff = task.handoff
    return {
        "task_id": task.task_id,
        "token": lease.token,
        "attempt": lease.attempt,
        "expires_at": format_timestamp(lease.expires_at),
        "grace_s": lease.grace_s,
        "deadline": format_timestamp(definition.deadline) if definition.deadline else None,
        "title": definition.title,
        "payload": definition.payload,
        "labels": list(definition.labels),
        "handoff": handoff.model_dump(mode="json") if handoff and handoff.valid_until >= now else None,
        "lease_s": lease.lease_s,
        "priority": definition.priority.value,
        "status": task.status.value,
    }


def holding_document(held: Iterable[Task], *, draining: bool) -> dict[str, Any]:
    """Return an agent's leases as the contract shows them to it, and that it should hand them over if it drains."""
    leases = [
        {
            "task_id": task.task_id,
            "token": task.lease.token,
            "expires_at": format_timestamp(task.lease.expires_at),
            "status": task.status.value,
        }
        for task in held
        if task.lease is not None
    ]
    directives = [
        {"task_id": lease["task_id"], "do": "hand_over", "reason": "the agent is draining"} for lease in leases
    ]
    return {"leases": leases, "directives": directives if draining else []}
