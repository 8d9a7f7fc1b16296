"""What happens next to a task: what falls due if its holder stays silent, and what else would change its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from domain.decisions.after_attempt import exhausted_budget
from domain.due import lease_due_at, recovery_due_at, silence_excused_until, stalled_due_at, stuck_due_at
from domain.events.task import Cause
from domain.lease_expiry import hard_cap
from domain.lifecycles import TaskStatus
from domain.policies.aging import next_aging_at
from domain.policies.cadence import median_interval_s
from domain.timestamps import after
from domain.values import OnSilence, OnStall
from projections.reports.time_text import duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.pool import Pool
    from domain.rules import Rules
    from domain.task import Lease, Task


class NextStep(NamedTuple):
    """Something that happens next."""

    at: datetime | None
    """None: it has no time of its own, such as a claim."""
    what: str


def next_steps(
    task: Task, pool: Pool, rules: Rules, now: datetime, *, unable: str | None = None
) -> tuple[NextStep, ...]:
    """Return the next steps in the order of time; those without a time come last.

    `unable`: why no live agent can do the task, as a phrase; None: one can, or that is not known.
    """
    found = [
        *_deadline(task, rules),
        *_in_queue(task, rules, now),
        *_on_lease(task, pool, rules),
        *_without_time(task, pool, now, unable),
    ]
    return tuple(sorted(found, key=lambda each: (each.at is None, each.at or now)))


def _deadline(task: Task, rules: Rules) -> Iterator[NextStep]:
    deadline = task.definition.deadline
    if deadline is None or task.terminal:
        return
    if rules.sweeper_enabled:
        yield NextStep(deadline, "deadline: past it the sweeper fails the task")
    else:
        yield NextStep(deadline, "deadline: past it the task is not granted; the sweeper, which would fail it, is off")


def _in_queue(task: Task, rules: Rules, now: datetime) -> Iterator[NextStep]:
    if task.status is not TaskStatus.QUEUED:
        return
    if task.not_before is not None and task.not_before > now:
        yield NextStep(task.not_before, "its delay ends: it can be granted from here on")
    if task.avoids is not None and task.avoids_until is not None and task.avoids_until > now:
        yield NextStep(task.avoids_until, f"until here other agents are preferred to {task.avoids}, which had it last")
    ages_at = next_aging_at(task.definition.priority, task.waits_since, now, rules.priority_aging_s)
    if ages_at is not None:
        yield NextStep(ages_at, f"it counts as one priority more urgent, every {duration(rules.priority_aging_s)}")


def _on_lease(task: Task, pool: Pool, rules: Rules) -> Iterator[NextStep]:
    lease = task.lease
    if lease is None or not task.ticking:
        return
    yield NextStep(lease.expires_at, "the lease expires, unless the holder is heard")
    yield NextStep(after(lease.expires_at, lease.grace_s), "its grace ends")
    cap = hard_cap(task, lease)
    if cap > lease.expires_at:
        yield NextStep(cap, "its longest life ends: nothing renews it beyond")
    if pool.expiry_held:
        yield NextStep(None, "the pool judges no lease until expiry is resumed")
        return
    floor = pool.floor(lease.token)
    due = lease_due_at(lease, pool)
    if floor is not None and floor == due:
        yield NextStep(floor, "no lease is judged before this, because the pool could not hear its agents")
    yield from _excuse(task, lease, due)
    stalled = None if task.status is TaskStatus.STUCK else stalled_due_at(task, pool, rules)
    if stalled is not None:
        then = "flagged" if task.definition.on_stall is OnStall.FLAG else "taken from its holder and requeued"
        yield NextStep(stalled, f"stalled and {then}, if neither percent nor checkpoint changes")
    stale = None if task.status is TaskStatus.STUCK else stuck_due_at(lease, pool, rules)
    if stale is not None:
        yield NextStep(stale, f"stuck, if not heard for more than {duration(rules.stuck_threshold_s)}")
    if stale is None or task.definition.on_silence is OnSilence.REQUEUE:
        yield NextStep(recovery_due_at(task, lease, pool), f"if still silent: {_after_silence(task)}")


def _excuse(task: Task, lease: Lease, due: datetime) -> Iterator[NextStep]:
    median_s = median_interval_s(lease.report_times_s)
    until = silence_excused_until(task, lease)
    if median_s is not None and until is not None and until > due:
        multiplier = task.definition.lease.silence_multiplier
        interval = f"its median report interval is {duration(median_s)}, times {multiplier:g}"
        yield NextStep(until, f"its silence is excused until here: {interval}")


def _after_silence(task: Task) -> str:
    if task.definition.on_silence is OnSilence.STUCK:
        return "stuck, and the holder keeps it on a stopped clock"
    spent = exhausted_budget(replace(task, expiries=task.expiries + 1), Cause.EXPIRY)
    if spent is not None:
        return f"expired and quarantined ({spent})"
    return f"expired and requeued as attempt {task.attempt + 1}, with a hand-off"


def _after_delay(task: Task, now: datetime) -> str:
    return ", after its delay" if task.not_before is not None and task.not_before > now else ""


def _without_time(task: Task, pool: Pool, now: datetime, unable: str | None) -> Iterator[NextStep]:
    match task.status:
        case TaskStatus.QUEUED if unable is not None:
            gate = "" if pool.accepts_grants else f" and the pool is no longer {pool.intake}"
            yield NextStep(None, f"not granted before another agent is registered or comes back{gate}: {unable}")
        case TaskStatus.QUEUED:
            gate = "" if pool.accepts_grants else f", once the pool is no longer {pool.intake}"
            yield NextStep(None, f"granted at the next claim of an agent that can do it{_after_delay(task, now)}{gate}")
        case TaskStatus.STUCK:
            yield NextStep(None, "any command of its holder with the current token brings it back to work")
            yield NextStep(None, "`custody requeue` or `custody revoke` takes it from its holder")
        case TaskStatus.BLOCKED:
            yield NextStep(None, "`custody unblock` brings it back to the queue")
        case TaskStatus.QUARANTINED:
            yield NextStep(None, "a person looks: `custody requeue` brings it back to the queue")
        case _:
            pass
    if task.late_token is not None and not task.terminal:
        yield NextStep(None, f"a late completion under expired token {task.late_token} is still accepted")
