"""When a lease expires: the policy's terms, cut at the hard cap, and never earlier than the lease already has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from domain.policies.lease import LeaseTerms, first_terms, renewal_terms
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.task import Lease, Task


class Expiry(msgspec.Struct, frozen=True, gc=False):
    """When a lease expires, and the terms that this follows from."""

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
    """Return the moment beyond which nothing renews the lease (`max_lease_s`); a stopped clock does not count."""
    return after(lease.granted_at, task.definition.lease.max_lease_s + lease.stopped_s)


def at_hard_cap(task: Task, lease: Lease) -> bool:
    """Return whether the lease already runs to its hard cap, so that nothing renews it any more."""
    return lease.expires_at >= hard_cap(task, lease)


def renewed_expiry(task: Task, lease: Lease, now: datetime, *, reports: int, percent: int) -> Expiry:
    """Return the lease's expiry if it is renewed now: never earlier than before, never past its hard cap."""
    definition = task.definition
    terms = renewal_terms(
        definition.lease, reports=reports, percent=percent, estimated_hours=definition.estimated_hours
    )
    return capped_expiry(task, lease, terms, after(now, terms.lease_s))


def capped_expiry(task: Task, lease: Lease, terms: LeaseTerms, wanted: datetime) -> Expiry:
    """Return the lease's expiry moved towards `wanted`: never earlier than before, never past its hard cap."""
    expires_at = max(lease.expires_at, min(wanted, hard_cap(task, lease)))
    # The end of grace does not move to an earlier time, either.
    kept_s = lease.grace_s - seconds_between(lease.expires_at, expires_at)
    grace_s = max(terms.grace_s, kept_s)
    return Expiry(terms.lease_s, grace_s, expires_at)
