"""What falls due on a task if nobody is heard of, and what would move it otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain.decisions.after_attempt import budget_spent
from domain.due import lease_due_at, recovery_due_at, staleness_due_at
from domain.events.task import Cause
from domain.lease_terms import hard_cap
from domain.lifecycles import TaskStatus
from domain.policies.cadence import median_interval_s, tolerated_silence_s
from domain.timestamps import after
from domain.values import OnSilence
from projections.reports.time_text import duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.pool import Pool
    from domain.rules import Rules
    from domain.task import Lease, Task


class Upcoming(NamedTuple):
    """Something to come: at a moment, or whenever somebody does it (None)."""

    at: datetime | None
    what: str


def upcoming(task: Task, pool: Pool, rules: Rules, now: datetime) -> tuple[Upcoming, ...]:
    """Return what is to come, in the order of time; what has no time of its own stands last."""
    found = [*_deadline(task, rules), *_on_lease(task, pool, rules), *_by_somebody(task, pool)]
    return tuple(sorted(found, key=lambda each: (each.at is None, each.at or now)))


def _deadline(task: Task, rules: Rules) -> Iterator[Upcoming]:
    deadline = task.definition.deadline
    if deadline is None or task.terminal:
        return
    if rules.sweeper_enabled:
        yield Upcoming(deadline, "deadline: past it the sweeper fails the task")
    else:
        yield Upcoming(deadline, "deadline: nothing happens, for the sweeper is off")


def _on_lease(task: Task, pool: Pool, rules: Rules) -> Iterator[Upcoming]:
    lease = task.lease
    if lease is None or not task.ticking:
        return
    yield Upcoming(lease.expires_at, "the lease expires, unless the holder is heard")
    yield Upcoming(after(lease.expires_at, lease.grace_s), "its grace ends")
    cap = hard_cap(task, lease)
    if cap > lease.expires_at:
        yield Upcoming(cap, "its longest life ends: nothing renews it beyond")
    if pool.expiry_held:
        yield Upcoming(None, "the pool judges no lease until expiry is resumed")
        return
    floor = pool.floor(lease.token)
    due = lease_due_at(lease, pool)
    if floor is not None and floor == due:
        yield Upcoming(floor, "nobody is judged before this, for the pool itself could not hear its agents")
    yield from _excuse(task, lease, due)
    stale = staleness_due_at(task, lease, pool, rules)
    if stale is not None:
        yield Upcoming(stale, f"stuck, if not heard for more than {duration(rules.stuck_threshold_s)}")
    else:
        yield Upcoming(recovery_due_at(task, lease, pool), f"if still silent: {_after_silence(task)}")


def _excuse(task: Task, lease: Lease, due: datetime) -> Iterator[Upcoming]:
    median_s = median_interval_s(lease.report_times_s)
    if median_s is None or lease.last_beat_at is None or lease.expires_at >= hard_cap(task, lease):
        return
    multiplier = task.definition.lease.silence_multiplier
    until = after(lease.last_beat_at, tolerated_silence_s(median_s, multiplier))
    if until > due:
        rhythm = f"its median report interval is {duration(median_s)}, times {multiplier:g}"
        yield Upcoming(until, f"its silence is excused until here: {rhythm}")


def _after_silence(task: Task) -> str:
    if task.definition.on_silence is OnSilence.STUCK:
        return "stuck, and the holder keeps it on a stopped clock"
    spent = budget_spent(task._replace(expiries=task.expiries + 1), Cause.EXPIRY)
    if spent is not None:
        return f"expired and quarantined ({spent})"
    return f"expired and requeued as attempt {task.attempt + 1}, with a hand-off"


def _by_somebody(task: Task, pool: Pool) -> Iterator[Upcoming]:
    match task.status:
        case TaskStatus.QUEUED:
            gate = "" if pool.takes_grants else f", once the pool is no longer {pool.intake}"
            yield Upcoming(None, f"granted at the next claim of an agent that can do it{gate}")
        case TaskStatus.STUCK:
            yield Upcoming(None, "any command of its holder with the current token brings it back to work")
            yield Upcoming(None, "`custody requeue` or `custody revoke` takes it from its holder")
        case TaskStatus.BLOCKED:
            yield Upcoming(None, "`custody unblock` brings it back to the queue")
        case TaskStatus.QUARANTINED:
            yield Upcoming(None, "a person looks: `custody requeue` brings it back to the queue")
        case _:
            pass
    if task.late_token is not None and not task.terminal:
        yield Upcoming(None, f"a late completion under expired token {task.late_token} is still accepted")
