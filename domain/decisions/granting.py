"""Granting a task, and renewing the leases of an agent that was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.agent import Agent
from domain.events import Entity
from domain.events import task as ev
from domain.lease_expiry import first_expiry, renewed_expiry
from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.draft import Draft
    from domain.task import Task


def grant(draft: Draft, task: Task, agent_id: str) -> Task:
    """Record the grant of a queued task; its token is the event's predicted position."""
    expiry = first_expiry(task, draft.now)
    return draft.record_task(
        task.task_id,
        ev.Leased(
            token=draft.next_position,
            agent_id=agent_id,
            attempt=task.attempt,
            lease_s=expiry.lease_s,
            grace_s=expiry.grace_s,
            expires_at=expiry.expires_at,
        ),
    )


def sign_of_life(draft: Draft, agent_id: str, vouched: Collection[str] | None = None) -> None:
    """Renew each lease of the agent whose expiry this moves by enough to be worth an event (`renewal_worth`).

    `vouched`: only the leases on these tasks. Without it, of an agent that vouches for its tasks in its heartbeats,
    only the one on the task that its command names: that it is heard says nothing of the others.
    """
    worth = draft.rules.renewal_worth
    if vouched is None and _vouches(draft, agent_id):
        vouched = (getattr(draft.request.command, "task_id", ""),)
    for task_id in draft.view.held_by(agent_id):
        if vouched is not None and task_id not in vouched:
            continue
        task = draft.task(task_id)
        if task is None or task.lease is None or not task.ticking or task.lease.agent_id != agent_id:
            continue
        lease = task.lease
        expiry = renewed_expiry(task, lease, draft.now, reports=lease.reports, percent=lease.percent)
        gain_s = seconds_between(lease.expires_at, expiry.expires_at)
        if gain_s > 0 and gain_s >= worth * expiry.lease_s:
            draft.record_task(
                task_id,
                ev.Renewed(
                    token=lease.token,
                    lease_s=expiry.lease_s,
                    grace_s=expiry.grace_s,
                    expires_at=expiry.expires_at,
                ),
            )


def _vouches(draft: Draft, agent_id: str) -> bool:
    agent = draft.after.get((Entity.AGENT, agent_id)) or draft.view.agent(agent_id)
    return isinstance(agent, Agent) and agent.vouches
