"""When a judgement on a task falls due, and by which numbers. Pure: the sweeper asks, the decision asks again.

Order of the rules: the deadline first; then a lease past expiry and grace, unless its holder's cadence excuses the
silence; before that, a holder whose last beat is older than the staleness threshold. Nothing is judged below the
floor that an outage of ours sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events.task import SilenceNumbers
from domain.lease_terms import hard_cap
from domain.policies.cadence import median_interval_s, tolerated_silence_s
from domain.timestamps import after, just_after, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.pool import Pool
    from domain.rules import Rules
    from domain.task import Lease, Task


def due_at(task: Task, pool: Pool, rules: Rules) -> datetime | None:
    """Return the first moment at which judging the task yields an event, if nothing happens before; None for never."""
    moments = []
    deadline = task.definition.deadline
    if rules.sweeper_enabled and deadline is not None and not task.terminal:
        moments.append(just_after(deadline))
    if task.lease is not None and task.ticking and not pool.expiry_held:
        moments.append(recovery_due_at(task, task.lease, pool))
        stale = staleness_due_at(task, task.lease, pool, rules)
        if stale is not None:
            moments.append(stale)
    return min(moments) if moments else None


def not_due_before(task: Task, rules: Rules) -> datetime | None:
    """Return a lower bound of `due_at` that is cheap to tell and that renewals only move later; None for never."""
    lease = task.lease
    bound = task.definition.deadline if rules.sweeper_enabled and not task.terminal else None
    if lease is None or not task.ticking:
        return bound
    moment = lease.expires_at
    if rules.sweeper_enabled and lease.last_beat_at is not None:
        moment = min(moment, after(lease.last_beat_at, rules.stuck_threshold_s))
    return moment if bound is None or moment < bound else bound


def lease_due_at(lease: Lease, pool: Pool) -> datetime:
    """Return when the lease is past its expiry and grace, and past the pool's floor."""
    due = after(lease.expires_at, lease.grace_s)
    floor = pool.floor(lease.token)
    return due if floor is None or floor < due else floor


def recovery_due_at(task: Task, lease: Lease, pool: Pool) -> datetime:
    """Return when the lease is to be recovered: when it is due, and no longer excused by its holder's cadence.

    At the hard cap (`max_lease_s`) the cadence is not asked.
    """
    due = lease_due_at(lease, pool)
    if lease.expires_at >= hard_cap(task, lease) or lease.last_beat_at is None:
        return due
    median_s = median_interval_s(lease.report_times_s)
    if median_s is None:
        return due
    excused_until = after(lease.last_beat_at, tolerated_silence_s(median_s, task.definition.lease.silence_multiplier))
    return max(due, just_after(excused_until))


def staleness_due_at(task: Task, lease: Lease, pool: Pool, rules: Rules) -> datetime | None:
    """Return when the holder counts as stale, or None if the lease is due first or there was no beat yet."""
    if not rules.sweeper_enabled or lease.last_beat_at is None or not task.ticking:
        return None
    stale = just_after(after(lease.last_beat_at, rules.stuck_threshold_s))
    floor = pool.floor(lease.token)
    if floor is not None and floor >= stale:
        stale = just_after(floor)
    if lease.extensions and stale <= lease.expires_at:
        # What a probe has earned is not cut short.
        stale = just_after(lease.expires_at)
    return stale if stale < lease_due_at(lease, pool) else None


def silence_numbers(task: Task, lease: Lease, pool: Pool, now: datetime) -> SilenceNumbers:
    """Return the numbers by which a silent holder is judged now."""
    median_s = median_interval_s(lease.report_times_s)
    multiplier = task.definition.lease.silence_multiplier
    return SilenceNumbers(
        expires_at=lease.expires_at,
        grace_s=lease.grace_s,
        due_at=lease_due_at(lease, pool),
        last_beat_at=lease.last_beat_at,
        silence_s=seconds_between(lease.last_beat_at or lease.granted_at, now),
        reports=lease.reports,
        median_interval_s=median_s,
        silence_multiplier=multiplier,
        tolerated_silence_s=tolerated_silence_s(median_s, multiplier),
        not_before=pool.floor(lease.token),
        hard_cap=lease.expires_at >= hard_cap(task, lease),
    )
