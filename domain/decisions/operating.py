"""Commands of operators on tasks, and on the intake of the pool."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from domain.commands.command_digest import definition_digest, definition_digest_as_sent
from domain.decisions import after_attempt, checks
from domain.decisions.granting import grant
from domain.errors import RefusalCode
from domain.events import agent as agent_ev
from domain.events import pool as pool_ev
from domain.events import task as ev
from domain.lease_documents import fate_document, lease_document
from domain.lifecycles import INTAKE, IntakeStatus, TaskStatus
from domain.names import is_task_id
from domain.policies.lease import LeaseMode, LeasePolicy
from domain.policies.lease_fields import lease_field_mismatch
from domain.policies.retry import resolved_retry
from domain.policies.sweeping import DEFAULT_STALL_S
from domain.refusal import Refused, invalid_field
from domain.statuses import BROUGHT_BACK
from domain.timestamps import after, format_timestamp, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.agent import Agent
    from domain.commands import operator_commands
    from domain.commands.service_commands import OnSelected
    from domain.commands.submit import Submit, SubmitMany
    from domain.decision import Decision
    from domain.draft import Draft
    from domain.pool_view import SearchablePoolView
    from domain.task import Task


Was = Literal["new", "known", "ended"]
"""What a submit found: no task of that name, the same one, or the same one that has ended."""


_LATER_RULES = ("retry", "stall_s", "on_stall")
"""Fields of a definition that older logs do not have."""


def submit(draft: Draft, command: Submit) -> Decision:
    """Queue a new task. The same definition again records nothing; another one with the same id is refused."""
    task_id = command.task_id or draft.request.new_id
    return draft.decided({"task_id": task_id, "was": _submit(draft, task_id, command)})


def _submit(draft: Draft, task_id: str, command: Submit) -> Was:
    known = draft.task(task_id)
    if known is None:
        if command.deadline is not None and command.deadline < draft.now:
            raise invalid_field("deadline", f"has passed: it is {format_timestamp(draft.now)}")
        definition = _definition(draft, command, draft.now)
        not_before, deadline = definition.not_before, definition.deadline
        if not_before is not None and deadline is not None and not_before >= deadline:
            raise _waits_too_long(command, deadline)
        draft.record_task(task_id, definition)
        return "new"
    if not _is_same_definition(draft, command, known):
        raise Refused(
            RefusalCode.TASK_EXISTS,
            f"task {task_id} exists with another definition; choose another id",
            task_id=task_id,
            status=known.status.value,
        )
    return was_known(known)


def was_known(task: Task) -> Was:
    """Return what a submit found that made no task, because this one is it."""
    return "ended" if task.terminal else "known"


def submit_many(draft: Draft, command: SubmitMany) -> Decision:
    """Queue all of these tasks; when one of them is refused, none is queued."""
    tasks = []
    for number, each in enumerate(command.tasks):
        task_id = each.task_id or f"{draft.request.new_id}-{number}"
        tasks.append({"task_id": task_id, "was": _submit(draft, task_id, each)})
    return draft.decided({"tasks": tasks})


def retry(draft: Draft, command: operator_commands.Retry) -> Decision:
    """Queue a new task with the definition of one that failed or was cancelled; each names the other.

    A deadline that has passed is set anew: as long from now as it was from the first submission. It does not wait for
    the first one's `not_before`.
    """
    task = checks.known_task(draft, command.task_id)
    if task.status not in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
        raise checks.illegal_transition(task, "retry", "only a failed or cancelled task is retried")
    new_id = next((each for each in command.candidates if draft.task(each) is None), None)
    if new_id is None:
        known = draft.task(command.candidates[0])
        if command.new_id is not None and known is not None and known.definition.retry_of == task.task_id:
            return draft.decided({"task_id": command.new_id, "retry_of": task.task_id, "was": was_known(known)})
        raise Refused(
            RefusalCode.TASK_EXISTS,
            f"task {command.candidates[-1]} exists; choose another new_id",
            task_id=command.candidates[-1],
        )
    if not is_task_id(new_id):
        raise invalid_field("new_id", f"is needed, because {new_id} would be too long for an id")
    definition = task.definition
    deadline = definition.deadline
    if deadline is not None and deadline <= draft.now:
        deadline = after(draft.now, seconds_between(task.submitted_at, deadline))
    draft.record_task(
        new_id, definition.model_copy(update={"retry_of": task.task_id, "deadline": deadline, "not_before": None})
    )
    draft.record_task(task.task_id, ev.Noted(kind="retried", note=command.reason, retried_as=new_id))
    return draft.decided({"task_id": new_id, "retry_of": task.task_id, "was": "new"})


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
    return _changed(draft, task)


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
        raise _waits_too_long(command, ends_at)
    field = "deadline" if command.deadline_s is None else "deadline_s"
    raise invalid_field(field, f"the task waits until {format_timestamp(waits_until)}, which is not before it")


def _waits_too_long(command: Submit | operator_commands.Update, deadline: datetime) -> Refused:
    field = "not_before" if command.delay_s is None else "delay_s"
    return invalid_field(field, f"the wait must end before the deadline, {format_timestamp(deadline)}")


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


def _definition(draft: Draft, command: Submit, since: datetime) -> ev.Submitted:
    """Return the definition, with all defaults resolved; a relative deadline and a delay count from `since`."""
    lease = _lease_policy(draft.rules.lease, command.lease)
    return ev.Submitted(
        request_digest=definition_digest(command),
        title=command.title,
        payload=command.payload,
        priority=command.priority,
        labels=tuple(command.labels),
        required_capabilities=tuple(sorted(set(command.required_capabilities))),
        estimated_hours=command.estimated_hours,
        deadline=_deadline(draft, command, since),
        lease=lease,
        on_silence=command.on_silence,
        budgets=command.budgets,
        stall_s=_stall_s(draft, command, lease),
        on_stall=draft.rules.on_stall if command.on_stall is None else command.on_stall,
        not_before=command.not_before if not command.delay_s else after(since, command.delay_s),
        retry=resolved_retry(draft.rules.retry, command.retry),
    )


def _is_same_definition(draft: Draft, command: Submit, known: Task) -> bool:
    """Return whether the request is the one that submitted the task, or resolves to the definition that it has now."""
    recorded = known.definition
    if recorded.request_digest in {definition_digest(command), definition_digest_as_sent(command)}:
        return True
    definition = _definition(draft, command, known.submitted_at)
    as_recorded: dict[str, Any] = {"request_digest": recorded.request_digest}
    if recorded.retry is None:
        # From before a task had these rules: a request that says nothing of them says the same.
        as_recorded |= {name: getattr(recorded, name) for name in _LATER_RULES if getattr(command, name) is None}
    return definition.model_copy(update=as_recorded) == recorded


def _deadline(draft: Draft, command: Submit, since: datetime) -> datetime | None:
    """Return the task's deadline, else the pool's default counted from `since`."""
    if command.deadline is not None:
        return command.deadline
    wanted_s = draft.rules.default_deadline_s if command.deadline_s is None else command.deadline_s
    return None if wanted_s is None else after(since, wanted_s)


def _stall_s(draft: Draft, command: Submit, lease: LeasePolicy) -> float | None:
    """Return after how many seconds without an advance the task is stalled, or None for never."""
    wanted_s = draft.rules.stall_s if command.stall_s is None else command.stall_s
    if wanted_s is None and lease.mode is LeaseMode.ADAPTIVE:
        wanted_s = DEFAULT_STALL_S
    return wanted_s or None


def _lease_policy(default: LeasePolicy, wanted: LeasePolicy | None) -> LeasePolicy:
    """Return the pool's policy overridden by the task's own fields; raises Refused when they do not fit together."""
    if wanted is None:
        return default
    fields = dict(default) | {name: getattr(wanted, name) for name in wanted.model_fields_set}
    misfit = lease_field_mismatch(wanted, fields["mode"])
    if misfit is not None:
        raise invalid_field("lease", misfit)
    try:
        return LeasePolicy.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise invalid_field(".".join(("lease", *map(str, first["loc"]))), first["msg"]) from None


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
    """Return the best agent for a task; the one that failed it last only if no other can take it."""
    required = frozenset(task.definition.required_capabilities)
    may_receive = partial(checks.may_receive_unasked, draft)
    failed_by = task.failed_last_by
    best = None
    if failed_by is not None:
        best = view.best_agent(required, lambda agent: agent.agent_id != failed_by and may_receive(agent))
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
    return _changed(draft, _requeue(draft, checks.live_task(draft, command.task_id or ""), command.reason))


def _requeue(draft: Draft, task: Task, reason: str | None) -> Task:
    reason = reason or "requeued by an operator"
    if task.status not in BROUGHT_BACK:
        raise checks.illegal_transition(
            task, ev.Requeued.name, "only a quarantined or stuck task is brought back by requeue"
        )
    if task.held:
        task = _revoked(draft, task, reason)
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
    return draft.decided(fate_document(task))


def revoke(draft: Draft, command: operator_commands.Revoke) -> Decision:
    """Take the task from its holder, who is told to stop."""
    task = checks.live_task(draft, command.task_id)
    checks.require_allowed(task, ev.Revoked.name)
    task = _revoked(draft, task, command.reason)
    task = after_attempt.requeue_or_quarantine(draft, task, ev.Cause.REVOKE, command.reason or "revoked by an operator")
    return draft.decided(fate_document(task))


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
    return _changed(draft, draft.record_task(task.task_id, event))


def fail(draft: Draft, command: operator_commands.OpsFail) -> Decision:
    """Record a failure that an operator reports, in any status; a holder is told to stop.

    A retryable one leads to another attempt while the budget of failures lasts.
    """
    task = checks.live_task(draft, command.task_id)
    return _changed(draft, after_attempt.record_failure(draft, task, command.error, retryable=command.retryable))


def block(draft: Draft, command: operator_commands.OpsBlock) -> Decision:
    """Set a task aside, in any status; a holder is told to stop. Repeating reason and question records nothing."""
    task = checks.live_task(draft, command.task_id)
    said = (task.outcome.detail if task.outcome is not None else None, task.question)
    if task.status is not TaskStatus.BLOCKED or said != (command.reason, command.question):
        event = ev.Blocked(token=task.token, agent_id=task.holder, reason=command.reason, question=command.question)
        task = draft.record_task(task.task_id, event)
    return _changed(draft, task)


def _changed(draft: Draft, task: Task) -> Decision:
    return draft.decided(fate_document(task))


def _revoked(draft: Draft, task: Task, reason: str | None) -> Task:
    lease = task.lease
    if lease is None:
        raise checks.illegal_transition(task, ev.Revoked.name)
    return draft.record_task(task.task_id, ev.Revoked(token=lease.token, agent_id=lease.agent_id, reason=reason))


def set_pool_intake(draft: Draft, event: pool_ev.IntakeEvent) -> Decision:
    """Open or close the pool's intake; a repeat records nothing."""
    repeated = isinstance(event, pool_ev.PoolDraining) and draft.view.pool.intake is IntakeStatus.DRAINING
    if INTAKE.allows(draft.view.pool.intake, event.name) and not repeated:
        draft.record_pool(event)
    return draft.decided({})
