"""Commands of operators on tasks, and on the intake of the pool."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from domain.decisions import after_attempt, checks
from domain.decisions.granting import grant
from domain.errors import RefusalCode
from domain.events import agent as agent_ev
from domain.events import pool as pool_ev
from domain.events import task as ev
from domain.lease_documents import fate_document, lease_document
from domain.lifecycles import INTAKE, IntakeStatus, TaskStatus
from domain.refusal import Refused, invalid_field
from domain.statuses import REQUEUEABLE
from domain.timestamps import after, format_timestamp, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.agent import Agent
    from domain.commands import operator_commands
    from domain.commands.service_commands import OnSelected
    from domain.decision import Decision
    from domain.draft import Draft
    from domain.pool_view import SearchablePoolView
    from domain.task import Task


def update(draft: Draft, command: operator_commands.Update) -> Decision:
    """Change the definition of a task that has not ended; what does not change is not recorded."""
    task = checks.live_task(draft, command.task_id)
    deadline = command.deadline if command.deadline_s is None else after(draft.now, command.deadline_s)
    if deadline is not None and deadline < draft.now:
        raise invalid_field("deadline", "has passed; a task that is not wanted any more can be cancelled")
    not_before = command.not_before if command.delay_s is None else after(draft.now, command.delay_s)
    if not_before is not None and task.status is not TaskStatus.QUEUED:
        raise checks.illegal_transition(task, ev.Updated.name, "only a queued task can be made to wait for a time")
    _require_time_before_deadline(draft, task, command, not_before, deadline)
    wanted: dict[str, Any] = {
        "priority": command.priority,
        "title": command.title,
        "labels": None if command.labels is None else tuple(command.labels),
        "deadline": deadline,
    }
    changed = {name: each for name, each in wanted.items() if each not in {None, getattr(task.definition, name)}}
    waits_until = max(task.not_before or draft.now, draft.now)
    if not_before is not None and max(not_before, draft.now) != waits_until:
        changed["not_before"] = not_before
    if command.no_deadline and task.definition.deadline is not None:
        changed["no_deadline"] = True
    if changed:
        task = draft.record_task(task.task_id, ev.Updated(**changed))
    return _fate(draft, task)


def _require_time_before_deadline(
    draft: Draft,
    task: Task,
    command: operator_commands.Update,
    not_before: datetime | None,
    deadline: datetime | None,
) -> None:
    """Refuse with `invalid_command` when the task would have to wait until its deadline, or beyond it."""
    if not_before is None and deadline is None:
        return
    waits_until = not_before or (task.not_before if task.status is TaskStatus.QUEUED else None)
    ends_at = deadline or (None if command.no_deadline else task.definition.deadline)
    if waits_until is None or ends_at is None or waits_until <= draft.now or waits_until < ends_at:
        return
    if not_before is not None:
        raise checks.waits_too_long(command, ends_at)
    field = "deadline" if command.deadline_s is None else "deadline_s"
    raise invalid_field(field, f"the task waits until {format_timestamp(waits_until)}, which is not before it")


def annotate(draft: Draft, command: operator_commands.Annotate) -> Decision:
    """Record a note on a task or an agent, whatever its status."""
    if command.task_id is not None:
        task = checks.known_task(draft, command.task_id)
        draft.record_task(task.task_id, ev.Noted(kind=command.kind, note=command.note, data=command.data))
        return draft.decided({"task_id": task.task_id})
    agent_id = command.agent_id or ""
    if draft.view.agent(agent_id) is None:
        raise checks.unknown_agent(agent_id)
    draft.record_agent(agent_id, agent_ev.AgentNoted(kind=command.kind, note=command.note, data=command.data))
    return draft.decided({"agent_id": agent_id})


def assign(draft: Draft, command: operator_commands.Assign, view: SearchablePoolView) -> Decision:
    """Grant a queued task to the named agent, else to the best one of those that were heard within a first term.

    The one that failed it last is chosen only if no other can take it.
    """
    agent = checks.known_agent(draft, command.agent_id) if command.agent_id is not None else None
    task = checks.live_task(draft, command.task_id)
    checks.require_allowed(task, ev.Leased.name)
    if checks.is_overdue(draft, task):
        raise checks.illegal_transition(task, ev.Leased.name, "its deadline has passed, so it is not granted")
    checks.require_time_reached(draft, task)
    if agent is None:
        checks.require_open_pool(draft)
        agent = _best_agent(draft, view, task)
    else:
        lacks = checks.why_not_able(task, agent)
        if lacks is not None:
            raise invalid_field("agent_id", lacks)
        checks.require_open_intake(draft, agent)
        checks.require_not_lost(agent)
        checks.require_room(draft, agent)
    return draft.decided(lease_document(grant(draft, task, agent.agent_id), draft.now))


def _best_agent(draft: Draft, view: SearchablePoolView, task: Task) -> Agent:
    """Return the best agent for a task; the one that failed it last, or with which it stalled, only if no other can."""
    required = frozenset(task.definition.required_capabilities)
    may_receive = partial(checks.may_receive_unasked, draft)
    stalled_with = task.avoids if task.avoids_until is not None and task.avoids_until > draft.now else None
    passed_over = {task.failed_last_by, stalled_with}
    best = None
    if passed_over != {None}:
        best = view.best_agent(required, lambda agent: agent.agent_id not in passed_over and may_receive(agent))
    best = best or view.best_agent(required, may_receive)
    if best is None:
        raise Refused(
            RefusalCode.AT_CAPACITY,
            f"no live agent that was heard lately and has room has every capability that task {task.task_id} requires",
            task_id=task.task_id,
            required_capabilities=sorted(required),
        )
    return checks.known_agent(draft, best)


def cancel(draft: Draft, command: operator_commands.Cancel) -> Decision:
    """Cancel the task in any status; a holder is told to stop."""
    task = _cancel(draft, checks.live_task(draft, command.task_id or ""), command.reason)
    return draft.decided({"task_id": task.task_id, "status": task.status.value})


def _cancel(draft: Draft, task: Task, reason: str | None) -> Task:
    return draft.record_task(task.task_id, ev.Cancelled(token=task.token, agent_id=task.holder, reason=reason))


def requeue(draft: Draft, command: operator_commands.Requeue) -> Decision:
    """Return a quarantined task to the queue, or a stuck one, which is revoked from its silent holder."""
    return _fate(draft, _requeue(draft, checks.live_task(draft, command.task_id or ""), command.reason))


def _requeue(draft: Draft, task: Task, reason: str | None) -> Task:
    reason = reason or "requeued by an operator"
    if task.status not in REQUEUEABLE:
        raise checks.illegal_transition(
            task, ev.Requeued.name, "only a quarantined or stuck task is brought back by requeue"
        )
    if task.held:
        task = after_attempt.record_revoked(draft, task, reason)
    return after_attempt.requeue_or_quarantine(draft, task, ev.Cause.OPERATOR, reason, exempt=True)


def on_selected(draft: Draft, command: OnSelected) -> Decision:
    """Cancel or requeue the selected tasks that still fit the filter."""
    wanted = command.command
    change = _cancel if wanted.verb == "cancel" else _requeue
    done = []
    for task_id in command.task_ids:
        task = draft.task(task_id)
        if task is not None and wanted.fits(task):
            change(draft, task, wanted.reason)
            done.append(task_id)
    return draft.decided({"task_ids": done, "count": len(done), "more": command.more})


def unblock(draft: Draft, command: operator_commands.Unblock) -> Decision:
    """Return a blocked task to the queue."""
    task = checks.live_task(draft, command.task_id)
    checks.require_allowed(task, ev.Unblocked.name)
    blocked_at = task.status_since
    task = draft.record_task(task.task_id, ev.Unblocked(reason=command.reason, answer=command.answer))
    task = after_attempt.requeue_or_quarantine(
        draft, task, ev.Cause.UNBLOCK, command.reason or "unblocked", exempt=True, ended_at=blocked_at
    )
    return _fate(draft, task)


def revoke(draft: Draft, command: operator_commands.Revoke) -> Decision:
    """Take the task from its holder, who is told to stop."""
    task = checks.live_task(draft, command.task_id)
    checks.require_allowed(task, ev.Revoked.name)
    task = after_attempt.record_revoked(draft, task, command.reason)
    task = after_attempt.requeue_or_quarantine(draft, task, ev.Cause.REVOKE, command.reason or "revoked by an operator")
    return _fate(draft, task)


def complete(draft: Draft, command: operator_commands.OpsComplete) -> Decision:
    """Complete a task for an operator, in any status; a holder is told to stop."""
    task = checks.live_task(draft, command.task_id)
    lease = task.lease
    event = ev.Completed(
        token=task.token,
        agent_id=task.holder,
        result=command.result,
        duration_s=seconds_between(lease.granted_at, draft.now) if lease else None,
    )
    return _fate(draft, draft.record_task(task.task_id, event))


def fail(draft: Draft, command: operator_commands.OpsFail) -> Decision:
    """Record a failure that an operator reports, in any status; a holder is told to stop.

    A retryable one leads to another attempt while the budget of failures lasts.
    """
    task = checks.live_task(draft, command.task_id)
    return _fate(draft, after_attempt.record_failure(draft, task, command.error, retryable=command.retryable))


def block(draft: Draft, command: operator_commands.OpsBlock) -> Decision:
    """Set a task aside, in any status; a holder is told to stop. Repeating reason and question records nothing."""
    task = checks.live_task(draft, command.task_id)
    said = (task.outcome.detail if task.outcome is not None else None, task.question)
    if task.status is not TaskStatus.BLOCKED or said != (command.reason, command.question):
        event = ev.Blocked(token=task.token, agent_id=task.holder, reason=command.reason, question=command.question)
        task = draft.record_task(task.task_id, event)
    return _fate(draft, task)


def _fate(draft: Draft, task: Task) -> Decision:
    """Return the decision of a command that changed a task: what has become of it."""
    return draft.decided(fate_document(task))


def set_pool_intake(draft: Draft, event: pool_ev.IntakeEvent) -> Decision:
    """Open or close the pool's intake; a repeat records nothing."""
    repeated = isinstance(event, pool_ev.PoolDraining) and draft.view.pool.intake is IntakeStatus.DRAINING
    if INTAKE.allows(draft.view.pool.intake, event.name) and not repeated:
        draft.record_pool(event)
    return draft.decided({})
