"""What follows when an attempt ends unfinished: the next attempt with a hand-off, quarantine, or failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import task as ev
from domain.policies.retry import retry_delay_s
from domain.pool import jitter_fraction
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from domain.draft import Draft
    from domain.task import Lease, Task

_DECIMALS = 2


def make_handoff(draft: Draft, task: Task, lease: Lease, reason: str) -> ev.Handoff:
    """Return the hand-off to the next holder. What this holder did not report is taken from the hand-off before."""
    before = task.handoff
    reported = lease.reports > 0 or before is None
    progress = lease.percent if reported or before is None else before.progress
    note = lease.note if lease.note is not None or before is None else before.last_note
    checkpoint = lease.checkpoint if lease.checkpoint is not None or before is None else before.last_checkpoint
    minutes = round(seconds_between(lease.granted_at, draft.now) / 60, _DECIMALS)
    branch = _branch_name(draft, task, lease)
    return ev.Handoff(
        recovered_at=draft.now,
        from_agent=lease.agent_id,
        progress=progress,
        minutes_spent=minutes,
        reason=reason,
        branch=branch,
        last_note=note,
        last_checkpoint=checkpoint,
        instructions=_instructions(lease.agent_id, minutes, progress, reason, note, checkpoint is not None, branch),
        valid_until=after(draft.now, draft.rules.handoff_valid_s),
    )


def _branch_name(draft: Draft, task: Task, lease: Lease) -> str | None:
    template = draft.rules.branch_template
    if template is None:
        return None
    return (
        template.replace("{task_id}", task.task_id)
        .replace("{agent_id}", lease.agent_id)
        .replace("{attempt}", str(lease.attempt))
    )


def _instructions(
    agent_id: str,
    minutes: float,
    progress: int,
    reason: str,
    note: str | None,
    has_checkpoint: bool,  # noqa: FBT001 - private, and named at its only call
    branch: str | None,
) -> str:
    sentences = [f"{agent_id} held this task for {minutes:g} minutes and came to {progress} %; it ended: {reason}."]
    if note:
        sentences.append(f"Its last note: “{note}”.")
    if branch:
        sentences.append(f"Look at branch {branch} for its work.")
    if has_checkpoint:
        sentences.append("Go on from the last checkpoint.")
    sentences.append("Find out what is already done before you repeat it; the former holder may still be at work.")
    return " ".join(sentences)


def requeue_or_quarantine(
    draft: Draft, task: Task, cause: ev.Cause, reason: str, *, exempt: bool = False, delay_s: float = 0.0
) -> Task:
    """Record what follows the end of a lease: the next attempt, or quarantine when a budget is used up.

    `exempt`: an operator asked for the next attempt, so budgets do not apply. `delay_s`: how long it waits.
    """
    lease = task.last_lease
    note = make_handoff(draft, task, lease, reason) if lease is not None else task.handoff
    spent = None if exempt else exhausted_budget(task, cause)
    if spent is not None:
        return draft.record_task(task.task_id, ev.Quarantined(cause=cause, reason=spent, handoff=note))
    not_before = after(draft.now, delay_s) if delay_s > 0 else None
    if not_before is None and task.not_before is not None and task.not_before > draft.now:
        # It was set aside before its time came.
        not_before = task.not_before
    return draft.record_task(
        task.task_id,
        ev.Requeued(cause=cause, attempt=task.attempt + 1, reason=reason, handoff=note, not_before=not_before),
    )


def exhausted_budget(task: Task, cause: ev.Cause) -> str | None:
    """Return which budget is used up, as a sentence for people, or None."""
    budgets = task.definition.budgets
    if cause is ev.Cause.EXPIRY and task.expiries >= budgets.expiries:
        return f"{task.expiries} expiries in a row without a report; the budget is {budgets.expiries}"
    if task.attempt >= budgets.attempts:
        return f"attempt {task.attempt} was the last; the budget is {budgets.attempts}"
    return None


def record_failure(draft: Draft, task: Task, lease: Lease, error: str, *, retryable: bool) -> Task:
    """Record a failure that the holder reported; what follows is another attempt, quarantine or the end."""
    failures = task.failures + 1
    budgets = task.definition.budgets
    if not retryable or failures >= budgets.failures:
        return draft.record_task(
            task.task_id,
            ev.Failed(token=lease.token, agent_id=lease.agent_id, error=error, retryable=retryable, failures=failures),
        )
    note = make_handoff(draft, task, lease, f"failed: {error}")
    spent = exhausted_budget(task, ev.Cause.FAILURE)
    if spent is not None:
        return draft.record_task(
            task.task_id,
            ev.Quarantined(token=lease.token, cause=ev.Cause.FAILURE, reason=spent, error=error, handoff=note),
        )
    policy = task.definition.retry or draft.rules.retry
    delay_s = retry_delay_s(policy, failures=failures, jitter=jitter_fraction(lease.token))
    return draft.record_task(
        task.task_id,
        ev.Requeued(
            token=lease.token,
            cause=ev.Cause.FAILURE,
            attempt=task.attempt + 1,
            error=error,
            handoff=note,
            not_before=after(draft.now, delay_s) if delay_s > 0 else None,
        ),
    )
