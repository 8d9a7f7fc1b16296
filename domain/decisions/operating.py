"""Commands of operators: submit, assign, cancel, requeue, unblock, revoke, and the pool's intake."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from domain.commands import lease_field_mismatch, request_digest_source
from domain.decisions import after_attempt, checks
from domain.decisions.granting import grant
from domain.draft import Refused
from domain.errors import RefusalCode
from domain.events import pool as pool_ev
from domain.events import task as ev
from domain.lease_documents import lease_document
from domain.lifecycles import INTAKE, TaskStatus
from domain.policies.lease import LeasePolicy
from domain.policies.retry import resolved_retry
from domain.timestamps import after

if TYPE_CHECKING:
    from domain import commands
    from domain.draft import Decision, Draft
    from domain.task import Task


def submit(draft: Draft, command: commands.Submit) -> Decision:
    """Queue a new task. The same request again records nothing; another one with the same id is refused."""
    task_id = command.task_id or draft.request.new_id
    digest = request_digest(command)
    known = draft.task(task_id)
    if known is not None:
        if known.definition.request_digest == digest:
            return draft.decided({"task_id": task_id})
        raise Refused(
            RefusalCode.TASK_EXISTS,
            f"task {task_id} exists with another definition; choose another id",
            task_id=task_id,
            status=known.status.value,
        )
    deadline = command.deadline
    if command.deadline_s is not None:
        deadline = after(draft.now, command.deadline_s)
    not_before = after(draft.now, command.delay_s) if command.delay_s else command.not_before
    if not_before is not None and deadline is not None and not_before >= deadline:
        raise checks.invalid_field(
            "not_before" if command.delay_s is None else "delay_s", "it ends at the deadline or after it"
        )
    draft.record_task(
        task_id,
        ev.Submitted(
            request_digest=digest,
            title=command.title,
            payload=command.payload,
            priority=command.priority,
            labels=tuple(command.labels),
            required_capabilities=tuple(sorted(set(command.required_capabilities))),
            estimated_hours=command.estimated_hours,
            deadline=deadline,
            lease=_lease_policy(draft.rules.lease, command.lease),
            on_silence=command.on_silence,
            budgets=ev.Budgets(**command.budgets.model_dump()),
            not_before=not_before,
            retry=resolved_retry(draft.rules.retry, command.retry),
        ),
    )
    return draft.decided({"task_id": task_id})


def request_digest(command: commands.Submit) -> str:
    """Return the SHA-256 of a submit's fields as sent; the order of keys, also of nested ones, does not matter."""
    source = json.dumps(request_digest_source(command), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(source.encode()).hexdigest()


def _lease_policy(default: LeasePolicy, wanted: LeasePolicy | None) -> LeasePolicy:
    """Return the pool's policy overridden by the task's own fields; raises Refused when they do not fit together."""
    if wanted is None:
        return default
    fields = default.model_dump() | wanted.model_dump(exclude_unset=True)
    misfit = lease_field_mismatch(wanted, fields["mode"])
    if misfit is not None:
        raise checks.invalid_field("lease", misfit)
    try:
        return LeasePolicy.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise checks.invalid_field(".".join(("lease", *map(str, first["loc"]))), first["msg"]) from None


def assign(draft: Draft, command: commands.Assign) -> Decision:
    """Grant a queued task to the named agent, else to the best one."""
    agent = checks.known_agent(draft, command.agent_id) if command.agent_id is not None else None
    task = checks.live_task(draft, command.task_id)
    checks.require_allowed(task, ev.Leased.name)
    checks.require_time_reached(draft, task)
    if agent is None:
        if not draft.view.pool.accepts_grants:
            raise Refused(RefusalCode.PAUSED, f"the pool is {draft.view.pool.intake}: nothing is granted")
        required = frozenset(task.definition.required_capabilities)
        best = draft.view.best_agent(required)
        if best is None:
            raise Refused(
                RefusalCode.AT_CAPACITY,
                f"no live agent with room has every capability that task {task.task_id} requires",
                task_id=task.task_id,
                required_capabilities=sorted(required),
            )
        agent = checks.known_agent(draft, best)
    else:
        missing = checks.missing_capabilities(task, agent.capabilities)
        if missing:
            raise checks.invalid_field("agent_id", f"{agent.agent_id} lacks the capabilities {', '.join(missing)}")
        checks.require_open_intake(draft, agent)
        checks.require_not_lost(agent)
        checks.require_room(draft, agent)
    return draft.decided(lease_document(grant(draft, task, agent.agent_id), draft.now))


def cancel(draft: Draft, command: commands.Cancel) -> Decision:
    """Cancel the task in any status; a holder is told to stop."""
    task = checks.live_task(draft, command.task_id)
    lease = task.lease
    task = draft.record_task(
        task.task_id,
        ev.Cancelled(
            token=lease.token if lease else None,
            agent_id=lease.agent_id if lease else None,
            reason=command.reason,
        ),
    )
    return draft.decided({"task_id": task.task_id, "status": task.status.value})


def requeue(draft: Draft, command: commands.Requeue) -> Decision:
    """Return a quarantined task to the queue, or a stuck one, which is revoked from its silent holder."""
    task = checks.live_task(draft, command.task_id)
    reason = command.reason or "requeued by an operator"
    if task.status is TaskStatus.STUCK and task.lease is not None:
        task = _revoked(draft, task, reason)
    elif task.status is not TaskStatus.QUARANTINED:
        raise checks.illegal_transition(
            task, ev.Requeued.name, "only a quarantined or stuck task is brought back by requeue"
        )
    task = after_attempt.requeue_or_quarantine(draft, task, ev.Cause.OPERATOR, reason, exempt=True)
    return draft.decided({"task_id": task.task_id, "status": task.status.value, "attempt": task.attempt})


def unblock(draft: Draft, command: commands.Unblock) -> Decision:
    """Return a blocked task to the queue."""
    task = checks.live_task(draft, command.task_id)
    checks.require_allowed(task, ev.Unblocked.name)
    task = draft.record_task(task.task_id, ev.Unblocked(reason=command.reason))
    task = after_attempt.requeue_or_quarantine(
        draft, task, ev.Cause.UNBLOCK, command.reason or "unblocked", exempt=True
    )
    return draft.decided({"task_id": task.task_id, "status": task.status.value, "attempt": task.attempt})


def revoke(draft: Draft, command: commands.Revoke) -> Decision:
    """Take the task from its holder, who is told to stop."""
    task = checks.live_task(draft, command.task_id)
    checks.require_allowed(task, ev.Revoked.name)
    task = _revoked(draft, task, command.reason)
    task = after_attempt.requeue_or_quarantine(draft, task, ev.Cause.REVOKE, command.reason or "revoked by an operator")
    return draft.decided({"task_id": task.task_id, "status": task.status.value, "attempt": task.attempt})


def _revoked(draft: Draft, task: Task, reason: str | None) -> Task:
    lease = task.lease
    if lease is None:
        raise checks.illegal_transition(task, ev.Revoked.name)
    return draft.record_task(task.task_id, ev.Revoked(token=lease.token, agent_id=lease.agent_id, reason=reason))


def set_pool_intake(draft: Draft, event: pool_ev.PoolDraining | pool_ev.PoolPaused | pool_ev.PoolResumed) -> Decision:
    """Open or close the pool's intake; a repeat records nothing."""
    if INTAKE.allows(draft.view.pool.intake, event.name):
        draft.record_pool(event)
    return draft.decided({})
