"""Leases and tasks as the wire contract shows them in replies to commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.handoffs import handoff_document
from domain.statuses import IntakeStatus
from domain.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from domain.agent import Agent
    from domain.events.task import Directive
    from domain.task import Task


def lease_document(task: Task, now: datetime) -> dict[str, Any]:
    """Return a held task's lease as the contract shows it to its holder; raises ValueError if it is not held."""
    lease = task.held_lease
    definition = task.definition
    handoff = task.handoff
    return {
        "task_id": task.task_id,
        "token": lease.token,
        "attempt": lease.attempt,
        "expires_at": format_timestamp(lease.expires_at),
        "grace_s": lease.grace_s,
        "deadline": format_timestamp(definition.deadline) if definition.deadline else None,
        "title": definition.title,
        "payload": definition.payload,
        "labels": list(definition.labels),
        "handoff": handoff_document(handoff, now) if handoff is not None else None,
        "lease_s": lease.lease_s,
        "priority": definition.priority.value,
        "status": task.status.value,
        "traceparent": task.traceparent,
        "required_capabilities": list(definition.required_capabilities),
        "failures": task.failures,
        "reported": {"percent": lease.percent, "note": lease.note, "checkpoint": lease.checkpoint}
        if lease.reports
        else None,
    }


def lease_terms_document(expires_at: datetime, grace_s: float, directive: Directive) -> dict[str, Any]:
    """Return what a holder is told of its lease: until when it runs, and what to do with the task."""
    return {"expires_at": format_timestamp(expires_at), "grace_s": grace_s, "directive": directive}


def fate_document(task: Task) -> dict[str, Any]:
    """Return what has become of a task by a command."""
    return {"task_id": task.task_id, "status": task.status.value, "attempt": task.attempt}


def stale_task_directives(
    pairs: Iterable[tuple[str, int]], task_of: Callable[[str], Task | None], agent_id: str
) -> list[dict[str, Any]]:
    """Return a `stop` directive for each task and token of which the agent does not hold the lease."""
    stops: list[dict[str, Any]] = []
    for task_id, token in dict.fromkeys(pairs):
        task = task_of(task_id)
        lease = task.lease if task is not None else None
        if lease is not None and (lease.token, lease.agent_id) == (token, agent_id):
            continue
        stale = lease is None or lease.token != token
        reason = f"token {token} is stale" if stale else f"token {token} is another agent's"
        stops.append({"task_id": task_id, "do": "stop", "reason": reason, "token": token})
    return stops


def holdings_document(agent: Agent | None, held: Iterable[Task | None]) -> dict[str, Any]:
    """Return what an agent holds as the contract shows it to it, with `hand_over` directives while it drains."""
    leases = [
        {
            "task_id": task.task_id,
            "token": task.lease.token,
            "expires_at": format_timestamp(task.lease.expires_at),
            "status": task.status.value,
        }
        for task in held
        if task is not None and task.lease is not None
    ]
    directives = [
        {"task_id": lease["task_id"], "do": "hand_over", "reason": "the agent is draining"} for lease in leases
    ]
    draining = agent is not None and agent.intake is IntakeStatus.DRAINING
    return {"leases": leases, "directives": directives if draining else []}
