"""Leases as the wire contract shows them to their holders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.handoffs import handoff_document
from domain.timestamps import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

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
    }


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


def holdings_document(held: Iterable[Task], *, draining: bool) -> dict[str, Any]:
    """Return an agent's leases as the contract shows them to it, with `hand_over` directives while it drains."""
    leases = [
        {
            "task_id": task.task_id,
            "token": task.lease.token,
            "expires_at": format_timestamp(task.lease.expires_at),
            "status": task.status.value,
        }
        for task in held
        if task.lease is not None
    ]
    directives = [
        {"task_id": lease["task_id"], "do": "hand_over", "reason": "the agent is draining"} for lease in leases
    ]
    return {"leases": leases, "directives": directives if draining else []}
