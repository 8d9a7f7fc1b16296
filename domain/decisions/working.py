"""Agents' commands on tasks: claim, lease, start, progress, silence, and the four that end a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic_core

from domain.decisions import after_attempt, checks
from domain.decisions.deadlines import fail_overdue
from domain.decisions.granting import grant, recover, sign_of_life
from domain.events import task as ev
from domain.lease_documents import fate_document, lease_document, lease_terms_document
from domain.lease_expiry import capped_expiry, hard_cap, renewed_expiry
from domain.lifecycles import IntakeStatus, TaskStatus
from domain.limits import MAX_CLAIM_REPLY_BYTES, MAX_OVERDUE_AT_CLAIM
from domain.policies.lease import renewal_terms
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from domain.agent import Agent
    from domain.commands import agent_commands
    from domain.decision import Decision
    from domain.draft import Draft
    from domain.pool_view import SearchablePoolView
    from domain.task import FormerLease, Lease, Task


def claim(draft: Draft, command: agent_commands.Claim, view: SearchablePoolView) -> Decision:
    """Grant the most urgent tasks that the agent can do, as many as it asked for and has room for.

    With `wait_s`, a claim that finds the pool or the agent paused or draining waits, as one that finds no task does.
    """
    agent = checks.requesting_agent(draft)
    if command.wait_s > 0 and not checks.has_open_intake(draft, agent):
        return _empty_claim(draft, agent.agent_id, waits=True)
    checks.require_open_intake(draft, agent)
    room = checks.require_room(draft, agent)
    leases: list[dict[str, Any]] = []
    size = 0
    for queued in _claimable(draft, view, agent, min(command.max, room)):
        lease = lease_document(grant(draft, queued, agent.agent_id), draft.now)
        leases.append(lease)
        size += len(pydantic_core.to_json(lease))
        if size >= MAX_CLAIM_REPLY_BYTES:
            break
    if not leases:
        return _empty_claim(draft, agent.agent_id, waits=command.wait_s > 0)
    sign_of_life(draft, agent.agent_id)
    return draft.decided({"leases": leases})


def _claimable(draft: Draft, view: SearchablePoolView, agent: Agent, wanted: int) -> list[Task]:
    """Return the first queued tasks for a claim; those before them whose deadline has passed fail here.

    With the sweeper on, these are rare: it has not judged them yet. With the sweeper off, they would stay at the head
    of the queue for ever, and each claim would have to skip them. At most `MAX_OVERDUE_AT_CLAIM` fail in one claim.
    """
    found = view.queued_for(agent, wanted, draft.now)
    overdue = [task for task in found if checks.is_overdue(draft, task)]
    while overdue and len(found) - len(overdue) < wanted and len(overdue) < MAX_OVERDUE_AT_CLAIM:
        before = len(found)
        found = view.queued_for(agent, wanted + 2 * len(overdue), draft.now)
        overdue = [task for task in found if checks.is_overdue(draft, task)]
        if len(found) == before:
            break
    if overdue:
        remembers, draft.remembers_outcome = draft.remembers_outcome, False
        for task in overdue[:MAX_OVERDUE_AT_CLAIM]:
            fail_overdue(draft, task, "deadline exceeded before it was claimed")
        draft.remembers_outcome = remembers
        late = {task.task_id for task in overdue}
        found = [task for task in found if task.task_id not in late]
    return list(found[:wanted])


def _empty_claim(draft: Draft, agent_id: str, *, waits: bool) -> Decision:
    """Grant nothing. A repeat is decided anew; the renewals recorded here are not its outcome."""
    draft.remembers_outcome = False
    sign_of_life(draft, agent_id)
    return draft.decided({"leases": []}, waits=waits)


def read_lease(draft: Draft, command: agent_commands.ReadLease) -> Decision:
    """Return the lease document. As any command of the holder, it renews its leases and recovers a stuck task.

    A repeat is decided anew: what was reported under the lease is told as it is now.
    """
    draft.remembers_outcome = False
    checks.requesting_agent(draft)
    task, lease = checks.named_lease(draft, command)
    task, _ = _recover_if_stuck(draft, task, lease)
    _renew_held_leases(draft)
    return draft.decided(lease_document(draft.task(task.task_id) or task, draft.now))


def start(draft: Draft, command: agent_commands.Start) -> Decision:
    """Record that work began; records nothing if it has begun already."""
    agent = checks.requesting_agent(draft)
    task, lease = checks.named_lease(draft, command)
    task, lease = _recover_if_stuck(draft, task, lease)
    if task.status is TaskStatus.ASSIGNED:
        draft.record_task(task.task_id, ev.Started(token=lease.token))
    _renew_held_leases(draft)
    return draft.decided(_lease_terms(draft, task, directive(draft, agent.intake, task, lease)))


def progress(draft: Draft, command: agent_commands.Progress) -> Decision:
    """Record the report, and renew the lease on the terms that follow from it."""
    agent = checks.requesting_agent(draft)
    task = checks.known_task(draft, command.task_id)
    lease = task.lease
    if lease is None or lease.token != command.token:
        checks.keep_late_report(draft, command)
    if lease is None or lease.token != command.token or lease.agent_id != agent.agent_id:
        task, lease = checks.named_lease(draft, command)
    if task.status is not TaskStatus.IN_PROGRESS:
        task, lease = _recover_if_stuck(draft, task, lease)
    reports = lease.reports + 1
    expiry = renewed_expiry(task, lease, draft.now, reports=reports, percent=command.percent)
    advice = directive(draft, agent.intake, task, lease)
    report = ev.Progressed(
        token=lease.token,
        percent=command.percent,
        message=command.message,
        checkpoint=command.checkpoint,
        reports=reports,
        lease_s=expiry.lease_s,
        grace_s=expiry.grace_s,
        expires_at=expiry.expires_at,
        directive=advice,
    )
    draft.record_task(task.task_id, report)
    limit = task.definition.lease.max_renewals
    if reports >= limit and not lease.escalated:
        draft.record_task(task.task_id, ev.Escalated(token=lease.token, renewals=reports, max_renewals=limit))
    return draft.decided(lease_terms_document(expiry.expires_at, expiry.grace_s, advice))


def silence(draft: Draft, command: agent_commands.Silence) -> Decision:
    """Record an announced silence: until its end, the holder counts as heard."""
    agent = checks.requesting_agent(draft)
    task, lease = checks.named_lease(draft, command)
    task, lease = _recover_if_stuck(draft, task, lease)
    until = after(draft.now, command.for_s)
    terms = renewal_terms(
        task.definition.lease,
        reports=lease.reports,
        percent=lease.percent,
        estimated_hours=task.definition.estimated_hours,
    )
    expiry = capped_expiry(task, lease, terms, after(until, terms.lease_s))
    task = draft.record_task(
        task.task_id,
        ev.Silenced(
            token=lease.token,
            for_s=command.for_s,
            until=until,
            reason=command.reason,
            grace_s=expiry.grace_s,
            expires_at=expiry.expires_at,
        ),
    )
    _renew_held_leases(draft)
    return draft.decided(_lease_terms(draft, task, directive(draft, agent.intake, task, lease)))


def release(draft: Draft, command: agent_commands.Release) -> Decision:
    """Return the task to the queue; the checkpoint goes to the next holder."""
    agent = checks.requesting_agent(draft)
    task, lease = checks.named_lease(draft, command)
    reason = command.reason or f"released by {agent.agent_id}"
    task = draft.record_task(
        task.task_id, ev.Released(token=lease.token, reason=command.reason, checkpoint=command.checkpoint)
    )
    task = after_attempt.requeue_or_quarantine(draft, task, ev.Cause.RELEASE, reason, delay_s=command.delay_s)
    return _lease_ended(draft, task)


def block(draft: Draft, command: agent_commands.Block) -> Decision:
    """End the lease and set the task aside until it is unblocked."""
    checks.requesting_agent(draft)
    task, lease = checks.named_lease(draft, command)
    event = ev.Blocked(token=lease.token, agent_id=lease.agent_id, reason=command.reason, question=command.question)
    return _lease_ended(draft, draft.record_task(task.task_id, event))


def complete(draft: Draft, command: agent_commands.Complete) -> Decision:
    """Complete the task. After the lease expired this is still accepted, until the task is granted again."""
    agent = checks.requesting_agent(draft)
    task = checks.known_task(draft, command.task_id)
    if task.lease is None or task.lease.token != command.token:
        former = None if task.terminal else checks.expired_lease(task, command.token, agent.agent_id)
        if former is not None and task.status in {TaskStatus.QUEUED, TaskStatus.QUARANTINED}:
            return _lease_ended(draft, _completed(draft, task, command, former, late=True))
        checks.keep_late_report(draft, command)
    task, lease = checks.named_lease(draft, command)
    return _lease_ended(draft, _completed(draft, task, command, lease, late=False))


def _completed(
    draft: Draft, task: Task, command: agent_commands.Complete, lease: Lease | FormerLease, *, late: bool
) -> Task:
    return draft.record_task(
        task.task_id,
        ev.Completed(
            token=lease.token,
            agent_id=lease.agent_id,
            result=command.result,
            late=late,
            duration_s=seconds_between(lease.granted_at, draft.now),
        ),
    )


def fail(draft: Draft, command: agent_commands.Fail) -> Decision:
    """Record the failure; a retryable one leads to another attempt while the budgets last."""
    checks.requesting_agent(draft)
    task, _ = checks.named_lease(draft, command)
    failed = after_attempt.record_failure(
        draft, task, command.error, retryable=command.retryable, delay_s=command.delay_s
    )
    return _lease_ended(draft, failed)


def directive(draft: Draft, intake: IntakeStatus, task: Task, lease: Lease) -> ev.Directive:
    """Return what the holder is asked to do with the task.

    `stop` past the deadline, `hand_over` while the agent drains or once the lease has run out at its hard cap.
    """
    if checks.is_overdue(draft, task):
        return "stop"
    if intake is IntakeStatus.DRAINING or (lease.expires_at <= draft.now and hard_cap(task, lease) <= draft.now):
        return "hand_over"
    return "continue"


def _recover_if_stuck(draft: Draft, task: Task, lease: Lease) -> tuple[Task, Lease]:
    """Recover the task if it is stuck, because its holder was heard; return it with its lease as it is then."""
    if task.status is not TaskStatus.STUCK:
        return task, lease
    task = recover(draft, task, lease)
    return task, task.lease or lease


def recover_vouched(draft: Draft, task_id: str, token: int) -> None:
    """Recover a stuck task that its holder vouches for: the heartbeat that names it is a command on it."""
    task = draft.task(task_id)
    if task is not None and task.lease is not None and task.lease.token == token:
        _recover_if_stuck(draft, task, task.lease)


def _renew_held_leases(draft: Draft) -> None:
    if draft.request.agent_id is not None:
        sign_of_life(draft, draft.request.agent_id)


def _lease_terms(draft: Draft, task: Task, advice: ev.Directive) -> dict[str, Any]:
    lease = (draft.task(task.task_id) or task).held_lease
    return lease_terms_document(lease.expires_at, lease.grace_s, advice)


def _lease_ended(draft: Draft, task: Task) -> Decision:
    """Return the decision of a command that ended its lease: the agent's other leases are renewed."""
    _renew_held_leases(draft)
    return draft.decided(fate_document(task))
