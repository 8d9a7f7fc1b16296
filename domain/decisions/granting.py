"""Granting a task, and renewing the leases of an agent that was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.events import task as ev
from domain.lease_expiry import first_expiry, renewed_expiry
from domain.lifecycles import TaskStatus
from domain.task import restart_clock
from domain.timestamps import seconds_between
from domain.values import OnSilence

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.draft import Draft
    from domain.task import Lease, Task

_SHARE = 0.5
"""A beat as old as this part of `stuck_threshold_s` is worth a new one; so is the first beat after this part of
`stall_s`."""


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
            asked_at=draft.request.asked_at,
        ),
    )


def sign_of_life(draft: Draft, agent_id: str, vouched: Collection[str] | None = None) -> None:
    """Renew each lease of the agent whose expiry this moves by enough to be worth an event (`renewal_worth`).

    `vouched`: only the leases on these tasks. Without it, of an agent that vouches for its tasks in its heartbeats,
    only the lease on the task that its command names: the command says nothing of the others.

    A claim that waited renews nothing: its agent was heard when it was sent.

    On long leases a sign of life is worth an event also when the last beat is half as old as what counts as stuck, so
    that no holder that is heard is called stuck; and when it is the first since the task is half way to stalled, so
    that the log shows that the holder is heard. A stuck task whose clock runs is recovered; one whose clock is stopped
    waits for a command on it.
    """
    if draft.request.asked_at is not None:
        return
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
        if task.status is TaskStatus.STUCK:
            recover(draft, task, lease)
            continue
        expiry = renewed_expiry(task, lease, draft.now, reports=lease.reports, percent=lease.percent)
        gain_s = seconds_between(lease.expires_at, expiry.expires_at)
        moves = gain_s > 0 and gain_s >= worth * expiry.lease_s
        if moves or _nears_staleness(draft, task, lease) or _nears_stall(draft, task, lease):
            draft.record_task(
                task_id,
                ev.Renewed(
                    token=lease.token,
                    lease_s=expiry.lease_s,
                    grace_s=expiry.grace_s,
                    expires_at=expiry.expires_at,
                ),
            )


def _nears_staleness(draft: Draft, task: Task, lease: Lease) -> bool:
    """Return whether a holder would soon be called stuck because no beat was recorded, though it is heard.

    With `on_silence: stuck` that is so, but for a task that can stall: what is stuck is not called stalled.
    """
    rules, definition = draft.rules, task.definition
    if not rules.sweeper_enabled or lease.last_beat_at is None:
        return False
    age_s = seconds_between(lease.last_beat_at, draft.now)
    kept = definition.on_silence is OnSilence.STUCK and definition.stall_s is None
    return not kept and age_s >= rules.stuck_threshold_s * _SHARE


def _nears_stall(draft: Draft, task: Task, lease: Lease) -> bool:
    """Return whether a task may soon be stalled, and no beat since it advanced last shows that its holder is heard."""
    stall_s = task.definition.stall_s
    if stall_s is None or lease.stalled_at is not None or not draft.rules.sweeper_enabled:
        return False
    advanced_at = lease.advanced_at or lease.granted_at
    shown = lease.last_beat_at is not None and lease.last_beat_at > advanced_at
    return not shown and seconds_between(advanced_at, draft.now) >= stall_s * _SHARE


def recover(draft: Draft, task: Task, lease: Lease) -> Task:
    """Record that the holder of a stuck task was heard; its lease runs on renewed terms."""
    running = restart_clock(task, lease, draft.now)
    expiry = renewed_expiry(task, running, draft.now, reports=lease.reports, percent=lease.percent)
    return draft.record_task(
        task.task_id,
        ev.Recovered(token=lease.token, lease_s=expiry.lease_s, grace_s=expiry.grace_s, expires_at=expiry.expires_at),
    )


def _vouches(draft: Draft, agent_id: str) -> bool:
    agent = draft.agent(agent_id)
    return agent is not None and agent.vouches
