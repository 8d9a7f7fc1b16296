"""Judging tasks that fell due, and extending leases on a probe's evidence. What changes nothing records nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from domain.decisions import after_attempt
from domain.decisions.deadlines import fail_overdue
from domain.due import due_moments, lease_due_at, silence_numbers
from domain.events import task as ev
from domain.lease_expiry import hard_cap
from domain.lifecycles import TaskStatus
from domain.policies.probes import EXTENSION_S, MAX_EXTENSIONS
from domain.policies.sweeping import Verdict, judge
from domain.timestamps import after, format_timestamp, seconds_between
from domain.values import OnSilence, OnStall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.commands.service_commands import Extend
    from domain.decision import Decision
    from domain.draft import Draft
    from domain.task import Task


class Finding(StrEnum):
    """The result of judging one task; a closed set, counted by the sweeper."""

    # The task ended, or left the pool's memory, before it was judged.
    ALREADY_FINISHED = "already_finished"
    # Past its deadline: failed.
    DEADLINE_EXCEEDED = "deadline_exceeded"
    # The lease expired, or was stalled and is to be requeued, and the task is back in the queue.
    REQUEUED = "requeued"
    # The lease expired and a budget is used up.
    QUARANTINED = "quarantined"
    # The holder is silent and keeps the task for now.
    STUCK = "stuck"
    # The holder is heard and does not advance: flagged.
    STALLED = "stalled"
    # Nothing is due: the holder was heard meanwhile, or it was too early.
    NOTHING = "nothing"


def judge_tasks(draft: Draft, task_ids: Sequence[str]) -> Decision:
    """Judge each task by the rules in force; the result is the number of findings by name."""
    findings: dict[str, int] = {}
    for task_id in task_ids:
        finding = _judge(draft, draft.task(task_id))
        findings[finding.value] = findings.get(finding.value, 0) + 1
    return draft.decided(findings)


def _judge(draft: Draft, task: Task | None) -> Finding:
    if task is None:
        return Finding.ALREADY_FINISHED
    match judge(task.status, due_moments(task, draft.view.pool, draft.rules), draft.now):
        case Verdict.ALREADY_FINISHED:
            return Finding.ALREADY_FINISHED
        case Verdict.DEADLINE_EXCEEDED:
            fail_overdue(draft, task, "deadline exceeded by sweeper")
            return Finding.DEADLINE_EXCEEDED
        case Verdict.RECOVER:
            return _recover(draft, task)
        case Verdict.STUCK:
            return _stuck(draft, task, cause="staleness")
        case Verdict.STALLED:
            return _stalled(draft, task)
    return Finding.NOTHING


def _recover(draft: Draft, task: Task) -> Finding:
    if task.definition.on_silence is OnSilence.STUCK:
        return _stuck(draft, task, cause="expiry")
    lease = task.held_lease
    numbers = silence_numbers(task, lease, draft.view.pool, draft.now)
    expired = draft.record_task(task.task_id, ev.Expired(token=lease.token, agent_id=lease.agent_id, numbers=numbers))
    reason = (
        f"lease expired at {format_timestamp(lease.expires_at)}, "
        f"{numbers.silence_s:.0f} s after {lease.agent_id} was last heard on it"
    )
    task = after_attempt.requeue_or_quarantine(draft, expired, ev.Cause.EXPIRY, reason)
    return Finding.REQUEUED if task.status is TaskStatus.QUEUED else Finding.QUARANTINED


def _stuck(draft: Draft, task: Task, *, cause: ev.StuckCause) -> Finding:
    lease = task.held_lease
    numbers = silence_numbers(task, lease, draft.view.pool, draft.now)
    draft.record_task(
        task.task_id,
        ev.Stuck(
            token=lease.token,
            agent_id=lease.agent_id,
            cause=cause,
            clock_runs=task.definition.on_silence is OnSilence.REQUEUE,
            numbers=ev.StuckNumbers(
                **dict(numbers), stuck_threshold_s=draft.rules.stuck_threshold_s if cause == "staleness" else None
            ),
        ),
    )
    return Finding.STUCK


def _stalled(draft: Draft, task: Task) -> Finding:
    lease, stall_s = task.held_lease, task.definition.stall_s or 0.0
    advanced_at = lease.advanced_at or lease.granted_at
    task = draft.record_task(
        task.task_id,
        ev.Stalled(
            token=lease.token,
            agent_id=lease.agent_id,
            percent=lease.percent,
            reports=lease.reports,
            advanced_at=advanced_at,
            stall_s=stall_s,
        ),
    )
    if task.definition.on_stall is OnStall.FLAG:
        return Finding.STALLED
    idle_s = seconds_between(advanced_at, draft.now)
    reason = f"stalled: {lease.agent_id} was heard and did not advance beyond {lease.percent} % for {idle_s:.0f} s"
    others_s = min(stall_s, after_attempt.retry_policy(draft, task).max_delay_s)
    task = after_attempt.revoke(draft, task, reason, ev.Cause.STALL, others_s=others_s)
    return Finding.REQUEUED if task.status is TaskStatus.QUEUED else Finding.QUARANTINED


def extend(draft: Draft, command: Extend) -> Decision:
    """Extend a lease on a probe's evidence, if it is still due and neither at its hard cap nor out of extensions."""
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
