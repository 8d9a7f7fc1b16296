"""The sweeper's and the recovery's verdicts, and what a probe may earn. Nothing is written where nothing changes."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from domain.decisions import after_attempt
from domain.due import lease_due_at, recovery_due_at, silence_numbers, staleness_due_at
from domain.events import task as ev
from domain.lease_terms import hard_cap
from domain.policies.probes import EXTENSION_S, MAX_EXTENSIONS
from domain.policies.sweeping import Verdict, judge
from domain.timestamps import after, format_timestamp, seconds_between
from domain.values import OnSilence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.draft import Decision, Draft
    from domain.service_commands import Extend
    from domain.task import Lease, Task


class Finding(StrEnum):
    """What judging one task came to; a closed set, counted by the sweeper."""

    # The task ended, or left the pool's memory, before it was judged.
    ALREADY_FINISHED = "already_finished"
    # Past its deadline: failed.
    DEADLINE_EXCEEDED = "deadline_exceeded"
    # The lease ran out and the task is back in the queue.
    REQUEUED = "requeued"
    # The lease ran out and a budget with it.
    QUARANTINED = "quarantined"
    # The holder is silent and keeps the task.
    STUCK = "stuck"
    # Somebody was heard meanwhile, or it was too early.
    NOTHING = "nothing"


def judge_tasks(draft: Draft, task_ids: Sequence[str]) -> Decision:
    """Judge each task by the rules in force; the result counts the findings by name."""
    findings: dict[str, int] = {}
    for task_id in task_ids:
        finding = _judge(draft, draft.task(task_id))
        findings[finding.value] = findings.get(finding.value, 0) + 1
    return draft.decided(findings)


def _judge(draft: Draft, task: Task | None) -> Finding:
    if task is None or task.terminal:
        return Finding.ALREADY_FINISHED
    pool, rules, now = draft.view.pool, draft.rules, draft.now
    deadline = task.definition.deadline
    if rules.sweeper_enabled and deadline is not None:
        overdue_s = seconds_between(deadline, now)
        verdict = judge(
            terminal=False,
            held=False,
            deadline_overdue_s=overdue_s,
            beat_age_s=None,
            stuck_threshold_s=rules.stuck_threshold_s,
        )
        if verdict is Verdict.DEADLINE_EXCEEDED:
            return _deadline_exceeded(draft, task, overdue_s)
    lease = task.lease
    if lease is None or not task.ticking or pool.expiry_held:
        return Finding.NOTHING
    if recovery_due_at(task, lease, pool) <= now:
        return _recover(draft, task, lease)
    stale_at = staleness_due_at(task, lease, pool, rules)
    if stale_at is not None and stale_at <= now:
        return _stuck(draft, task, lease, cause="staleness")
    return Finding.NOTHING


def _deadline_exceeded(draft: Draft, task: Task, overdue_s: float) -> Finding:
    lease = task.lease
    deadline = task.definition.deadline
    if deadline is None:
        return Finding.NOTHING
    draft.record_task(
        task.task_id,
        ev.Failed(
            token=lease.token if lease else None,
            agent_id=lease.agent_id if lease else None,
            error="deadline exceeded by sweeper",
            numbers=ev.FailedNumbers(
                deadline=deadline, overdue_s=overdue_s, last_beat_at=lease.last_beat_at if lease else None
            ),
        ),
    )
    return Finding.DEADLINE_EXCEEDED


def _recover(draft: Draft, task: Task, lease: Lease) -> Finding:
    if task.definition.on_silence is OnSilence.STUCK:
        return _stuck(draft, task, lease, cause="expiry")
    numbers = silence_numbers(task, lease, draft.view.pool, draft.now)
    after_it = draft.record_task(task.task_id, ev.Expired(token=lease.token, agent_id=lease.agent_id, numbers=numbers))
    reason = (
        f"lease expired at {format_timestamp(lease.expires_at)}, "
        f"{numbers.silence_s:.0f} s after {lease.agent_id} was last heard on it"
    )
    after_it = after_attempt.again(draft, after_it, ev.Cause.EXPIRY, reason)
    return Finding(after_it.status.value) if after_it.status.value != "queued" else Finding.REQUEUED


def _stuck(draft: Draft, task: Task, lease: Lease, *, cause: Any) -> Finding:
    numbers = silence_numbers(task, lease, draft.view.pool, draft.now)
    threshold_s = draft.rules.stuck_threshold_s if cause == "staleness" else None
    draft.record_task(
        task.task_id,
        ev.Stuck(
            token=lease.token,
            agent_id=lease.agent_id,
            cause=cause,
            numbers=ev.StuckNumbers(**dict(numbers), stuck_threshold_s=threshold_s),
        ),
    )
    return Finding.STUCK


def extend(draft: Draft, command: Extend) -> Decision:
    """Give a silent lease more time on a probe's evidence, if it is still silent, due, and has some to be given."""
    task = draft.task(command.task_id)
    lease = task.lease if task is not None else None
    if task is None or lease is None or lease.token != command.token or not task.ticking:
        return draft.decided({"extended": False})
    expires_at = min(after(draft.now, EXTENSION_S), hard_cap(task, lease))
    due = lease_due_at(lease, draft.view.pool) <= draft.now
    if not due or lease.extensions >= MAX_EXTENSIONS or expires_at <= lease.expires_at:
        return draft.decided({"extended": False})
    draft.record_task(
        task.task_id,
        ev.Extended(
            token=lease.token,
            probe=command.probe,
            for_s=EXTENSION_S,
            extensions=lease.extensions + 1,
            evidence=command.evidence,
            previous_expires_at=lease.expires_at,
            grace_s=lease.grace_s,
            expires_at=expires_at,
        ),
    )
    return draft.decided({"extended": True})
