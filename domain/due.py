"""When each judgement on a task falls due, and by which numbers: the policies, applied to a task of a pool.

The sweeper asks when to wake, and the decision asks again what is due. The rules themselves are in
`domain.policies.cadence` and `domain.policies.sweeping`.

Order of the rules: the deadline; then a lease past expiry and grace, unless its holder's cadence excuses the silence;
then, only before the lease is due, a holder whose last beat is older than the staleness threshold; then one that is
heard and does not advance. No lease is judged before the floor that an outage of the pool sets. A stuck task is judged
by its deadline, and by its lease if that runs on (`on_silence: requeue`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events.task import SilenceNumbers
from domain.lease_expiry import at_hard_cap
from domain.lifecycles import TaskStatus
from domain.policies.cadence import excused_until, median_interval_s, recovery_at, tolerated_silence_s
from domain.policies.sweeping import DueMoments, deadline_exceeded_at, first_due_at, stalled_at, stuck_at
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.pool import Pool
    from domain.rules import Rules
    from domain.task import Lease, Task


def due_moments(task: Task, pool: Pool, rules: Rules) -> DueMoments:
    """Return the first moment at which each rule applies to the task, if nothing happens before."""
    deadline = task.definition.deadline if rules.sweeper_enabled else None
    overdue = None if deadline is None else deadline_exceeded_at(deadline)
    lease = task.lease
    if lease is None or pool.expiry_held or not task.ticking:
        return DueMoments(overdue)
    return DueMoments(
        overdue, recovery_due_at(task, lease, pool), stuck_due_at(lease, pool, rules), stalled_due_at(task, pool, rules)
    )


def due_at(task: Task, pool: Pool, rules: Rules) -> datetime | None:
    """Return the first moment at which judging the task yields an event, if nothing happens before; None for never."""
    return first_due_at(task.status, due_moments(task, pool, rules))


def not_due_before(task: Task, rules: Rules) -> datetime | None:
    """Return a lower bound of `due_at` that is cheap to compute and that renewals only move later; None for never."""
    lease = task.lease
    bound = task.definition.deadline if rules.sweeper_enabled and not task.terminal else None
    if lease is None or not task.ticking:
        return bound
    moment = lease.expires_at
    if rules.sweeper_enabled and lease.last_beat_at is not None and task.status is not TaskStatus.STUCK:
        moment = min(moment, after(lease.last_beat_at, rules.stuck_threshold_s))
        stalled = _stalled_at(task, lease, ())
        moment = moment if stalled is None or moment < stalled else stalled
    return moment if bound is None or moment < bound else bound


def lease_due_at(lease: Lease, pool: Pool) -> datetime:
    """Return when the lease is past its expiry and grace, and past the pool's floor."""
    due = after(lease.expires_at, lease.grace_s)
    floor = pool.floor(lease.token)
    return due if floor is None or floor < due else floor


def silence_excused_until(task: Task, lease: Lease) -> datetime | None:
    """Return the last moment at which the holder's cadence excuses its silence, or None if nothing does.

    At the hard cap (`max_lease_s`) the cadence does not count.
    """
    if at_hard_cap(task, lease):
        return None
    return excused_until(
        lease.last_beat_at,
        median_s=median_interval_s(lease.report_times_s),
        silence_multiplier=task.definition.lease.silence_multiplier,
    )


def recovery_due_at(task: Task, lease: Lease, pool: Pool) -> datetime:
    """Return when the lease is to be recovered: when it is due, and no longer excused by its holder's cadence."""
    return recovery_at(lease_due_at(lease, pool), silence_excused_until(task, lease))


def stuck_due_at(lease: Lease, pool: Pool, rules: Rules) -> datetime | None:
    """Return when the holder counts as stuck, or None if the lease is due first or there was no beat yet.

    Never before the pool's floor, nor before the end of an extension that a probe has earned.
    """
    if not rules.sweeper_enabled:
        return None
    floor = pool.floor(lease.token)
    extended_until = lease.expires_at if lease.extensions else None
    return stuck_at(
        lease.last_beat_at,
        rules.stuck_threshold_s,
        lease_due_at=lease_due_at(lease, pool),
        not_before=[moment for moment in (floor, extended_until) if moment is not None],
    )


def stalled_due_at(task: Task, pool: Pool, rules: Rules) -> datetime | None:
    """Return when the task counts as stalled, or None if it does already or never will; never before the floor."""
    lease = task.lease
    if lease is None or not rules.sweeper_enabled:
        return None
    floor = pool.floor(lease.token)
    return _stalled_at(task, lease, () if floor is None else (floor,))


def _stalled_at(task: Task, lease: Lease, not_before: tuple[datetime, ...]) -> datetime | None:
    stall_s = task.definition.stall_s
    if stall_s is None or lease.stalled_at is not None:
        return None
    return stalled_at(lease.advanced_at or lease.granted_at, stall_s, lease.last_beat_at, not_before=not_before)


def silence_numbers(task: Task, lease: Lease, pool: Pool, now: datetime) -> SilenceNumbers:
    """Return the numbers by which a silent holder is judged now."""
    median_s = median_interval_s(lease.report_times_s)
    multiplier = task.definition.lease.silence_multiplier
    return SilenceNumbers(
        expires_at=lease.expires_at,
        grace_s=lease.grace_s,
        due_at=lease_due_at(lease, pool),
        last_beat_at=lease.last_beat_at,
        # The last beat may lie in the future: a hard cap can end the lease within an announced silence.
        silence_s=max(seconds_between(lease.last_beat_at or lease.granted_at, now), 0.0),
        reports=lease.reports,
        median_interval_s=median_s,
        silence_multiplier=multiplier,
        tolerated_silence_s=tolerated_silence_s(median_s, multiplier),
        not_before=pool.floor(lease.token),
        hard_cap=at_hard_cap(task, lease),
    )
