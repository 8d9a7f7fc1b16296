"""What follows when an attempt ends unfinished: the next attempt with a hand-off, quarantine, or failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import task as ev
from domain.handoffs import earlier_work, in_words, new_handoff
from domain.lifecycles import TaskStatus
from domain.policies.retry import retry_delay_s
from domain.pool import jitter_fraction
from domain.subjects import subject_token
from domain.timestamps import after, seconds_between
from domain.values import filled

if TYPE_CHECKING:
    from datetime import datetime

    from domain.draft import Draft
    from domain.policies.retry import RetryPolicy
    from domain.task import Lease, Task

_DECIMALS = 2
_WORK = ("progress", "last_note", "last_checkpoint", "reported_by", "reported_token", "earlier")
"""The fields of a hand-off that come from one lease."""


def make_handoff(
    draft: Draft, task: Task, lease: Lease, reason: str, *, ended_at: datetime | None = None
) -> ev.Handoff:
    """Return the hand-off to the next holder; `ended_at`: when the lease ended, if that was not just now.

    Progress, note and checkpoint are this holder's, together. They are those of the task's present hand-off if this
    holder reported nothing, or if that hand-off is of this lease already: a late report may have advanced it since.
    """
    before = task.handoff
    ended_at = ended_at or draft.now
    minutes = round(seconds_between(lease.granted_at, ended_at) / 60, _DECIMALS)
    again = before is not None and before.token == lease.token
    reported = lease.reports > 0 or lease.checkpoint is not None
    if before is not None and (not reported or (again and before.progress >= lease.percent)):
        work = {name: getattr(before, name) for name in _WORK}
        minutes = before.minutes_spent if again else minutes
    else:
        work = {
            # A checkpoint without a report goes with the progress at which the holder began.
            "progress": lease.percent if lease.reports or before is None else before.progress,
            "last_note": lease.note,
            "last_checkpoint": lease.checkpoint,
            "reported_by": lease.agent_id if reported else None,
            "reported_token": lease.token if reported else None,
            "earlier": earlier_work(before, lease.checkpoint),
        }
    return new_handoff(
        recovered_at=draft.now,
        from_agent=lease.agent_id,
        minutes_spent=minutes,
        reason=reason,
        branch=_branch_name(draft, task, lease),
        question=task.question,
        answer=task.answer,
        valid_until=after(draft.now, draft.rules.handoff_valid_s),
        token=lease.token,
        **work,
    )


def _branch_name(draft: Draft, task: Task, lease: Lease) -> str | None:
    template = draft.rules.branch_template
    if template is None:
        return None
    return filled(template, task_id=subject_token(task.task_id), agent_id=lease.agent_id, attempt=lease.attempt)


def requeue_or_quarantine(
    draft: Draft,
    task: Task,
    cause: ev.Cause,
    reason: str,
    *,
    exempt: bool = False,
    ended_at: datetime | None = None,
    delay_s: float = 0.0,
    others_s: float = 0.0,
) -> Task:
    """Record what follows the end of a lease: the next attempt, or quarantine when a budget is used up.

    `exempt`: an operator asked for the next attempt, so budgets do not apply; after quarantine they begin anew.
    `ended_at`: when the lease ended, if that was not just now. `delay_s`: how long the next attempt waits.
    `others_s`: for how long other agents are preferred to the last holder.
    """
    lease = task.last_lease
    handoff = (
        make_handoff(draft, task, lease, reason, ended_at=ended_at)
        if lease is not None
        else _handoff_without_holder(draft, task, reason)
    )
    spent = None if exempt else exhausted_budget(task, cause)
    if spent is not None:
        return draft.record_task(task.task_id, ev.Quarantined(cause=cause, reason=spent, handoff=handoff))
    anew = task.status is TaskStatus.QUARANTINED
    return draft.record_task(
        task.task_id,
        ev.Requeued(
            cause=cause,
            attempt=task.attempt + 1,
            budgets_anew=anew,
            reason=reason,
            handoff=handoff,
            not_before=_not_before(draft, task, delay_s),
            others_until=after(draft.now, others_s) if others_s else None,
        ),
    )


def record_revoked(draft: Draft, task: Task, reason: str | None, cause: ev.Cause = ev.Cause.REVOKE) -> Task:
    """Record that a held task is taken from its holder, who is told to stop; what follows has to be recorded too."""
    lease = task.held_lease
    event = ev.Revoked(token=lease.token, cause=cause, agent_id=lease.agent_id, reason=reason)
    return draft.record_task(task.task_id, event)


def revoke(draft: Draft, task: Task, reason: str, cause: ev.Cause = ev.Cause.REVOKE, *, others_s: float = 0.0) -> Task:
    """Take a held task from its holder, who is told to stop, and record what follows.

    `others_s`: for how long other agents are preferred to that holder.
    """
    task = record_revoked(draft, task, reason, cause)
    return requeue_or_quarantine(draft, task, cause, reason, others_s=others_s)


def _handoff_of_unheld(draft: Draft, task: Task, reason: str) -> ev.Handoff | None:
    """Return the hand-off of a task that no agent holds now: the present one, if that says all that there is to say.

    A task that is blocked has none of its last lease yet; a question may have been asked since.
    """
    lease, before = task.last_lease, task.handoff
    if lease is None:
        return _handoff_without_holder(draft, task, reason)
    is_of_lease = before is not None and before.token == lease.token
    if before is not None and is_of_lease and (before.question, before.answer) == (task.question, task.answer):
        return before
    return make_handoff(draft, task, lease, reason, ended_at=task.status_since)


def _handoff_without_holder(draft: Draft, task: Task, reason: str) -> ev.Handoff | None:
    """Return the hand-off of a task that was never held: there is one if a question was asked about it."""
    if task.question is None and task.answer is None:
        return task.handoff
    return in_words(
        ev.Handoff(
            recovered_at=draft.now,
            from_agent=None,
            progress=0,
            minutes_spent=0.0,
            reason=reason,
            question=task.question,
            answer=task.answer,
            instructions="",
            valid_until=after(draft.now, draft.rules.handoff_valid_s),
        )
    )


def retry_policy(draft: Draft, task: Task) -> RetryPolicy:
    """Return how long the task waits after a failure; one of an older log has no policy of its own."""
    return task.definition.retry or draft.rules.retry


def _not_before(draft: Draft, task: Task, delay_s: float) -> datetime | None:
    """Return until when the next attempt waits: if its time has not come, a task waits at least until then."""
    wanted = after(draft.now, delay_s) if delay_s > 0 else None
    earlier = task.not_before
    if earlier is None or earlier <= draft.now or (wanted is not None and wanted > earlier):
        return wanted
    return earlier


def exhausted_budget(task: Task, cause: ev.Cause) -> str | None:
    """Return which budget is used up, as a sentence for people, or None. A release counts against its own alone."""
    budgets = task.definition.budgets
    if cause is ev.Cause.EXPIRY and task.expiries >= budgets.expiries:
        return f"{task.expiries} expiries in a row without a report; the budget is {budgets.expiries}"
    if cause is ev.Cause.RELEASE:
        spent = f"{task.releases} releases; the budget is {budgets.releases}"
        return spent if task.releases >= budgets.releases else None
    if task.attempts_used >= budgets.attempts:
        return f"attempt {task.attempt} was the last; the budget is {budgets.attempts}"
    return None


def record_failure(draft: Draft, task: Task, error: str, *, retryable: bool, delay_s: float | None = None) -> Task:
    """Record a failure that the holder or an operator reported.

    `delay_s`: how long the next attempt waits; None: as the task's retry policy says.

    What follows is another attempt, quarantine or the end. A task that is not held used up no attempt, so that budget
    does not apply to it.
    """
    failures = task.failures + 1
    budgets = task.definition.budgets
    lease, token, agent_id = task.lease, task.token, task.holder
    if not retryable or failures >= budgets.failures:
        return draft.record_task(
            task.task_id,
            ev.Failed(token=token, agent_id=agent_id, error=error, retryable=retryable, failures=failures),
        )
    reason = f"failed: {error}"
    handoff = make_handoff(draft, task, lease, reason) if lease is not None else _handoff_of_unheld(draft, task, reason)
    spent = exhausted_budget(task, ev.Cause.FAILURE) if lease is not None else None
    if spent is not None:
        return draft.record_task(
            task.task_id,
            ev.Quarantined(
                token=token,
                agent_id=agent_id,
                cause=ev.Cause.FAILURE,
                reason=spent,
                error=error,
                handoff=handoff,
            ),
        )
    if delay_s is None:
        policy = retry_policy(draft, task)
        jitter = jitter_fraction(lease.token if lease is not None else task.submitted_position)
        delay_s = retry_delay_s(policy, failures=failures, jitter=jitter)
    return draft.record_task(
        task.task_id,
        ev.Requeued(
            token=token,
            agent_id=agent_id,
            cause=ev.Cause.FAILURE,
            attempt=task.attempt + 1,
            error=error,
            handoff=handoff,
            not_before=_not_before(draft, task, delay_s),
        ),
    )
