"""Entities as the JSON documents of query answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.handoffs import handoff_document
from domain.lifecycles import LeaseStatus
from domain.timestamps import after, format_timestamp, seconds_between

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.agent import Agent
    from domain.policies.load_balancing import StealConfig
    from domain.pool import Pool, TailLoss
    from domain.steal import Steal
    from domain.task import Lease, Task


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_timestamp(at)


def task_document(task: Task, now: datetime) -> dict[str, Any]:
    """Return a task's whole state; `now` decides whether the advice of its hand-off is still shown."""
    definition = task.definition
    outcome = task.outcome
    return {
        **task_summary(task),
        "payload": definition.payload,
        "estimated_hours": definition.estimated_hours,
        "lease_policy": definition.lease.model_dump(mode="json"),
        "on_silence": definition.on_silence.value,
        "budgets": definition.budgets.model_dump(),
        "stall_s": definition.stall_s,
        "on_stall": definition.on_stall.value,
        "retry": definition.retry.model_dump() if definition.retry else None,
        "failures": task.failures,
        "expiries": task.expiries,
        "steals": task.steals,
        "retry_of": definition.retry_of,
        "retries": list(task.retries),
        "question": task.question,
        "answer": task.answer,
        "traceparent": task.traceparent,
        "releases": task.releases,
        "attempts_used": task.attempts_used,
        "handoff": handoff_document(task.handoff, now) if task.handoff else None,
        "lease": lease_state(task.lease) if task.lease else None,
        "former_leases": [
            {
                "token": former.token,
                "agent_id": former.agent_id,
                "ended": former.ended.value,
                "granted_at": _time(former.granted_at),
                "late_reports": former.late_reports,
            }
            for former in task.former
        ],
        "outcome": None
        if outcome is None
        else {
            "event": outcome.event,
            "at": _time(outcome.at),
            "by": outcome.actor,
            "token": outcome.token,
            "agent_id": outcome.agent_id,
            "detail": outcome.detail,
            "result": outcome.result,
        },
        "version": task.version,
        "position": task.position,
    }


def task_summary(task: Task) -> dict[str, Any]:
    """Return a task as a row of a list, without its JSON documents."""
    definition = task.definition
    return {
        "task_id": task.task_id,
        "status": task.status.value,
        "attempt": task.attempt,
        "title": definition.title,
        "priority": definition.priority.value,
        "labels": list(definition.labels),
        "required_capabilities": list(definition.required_capabilities),
        "deadline": _time(definition.deadline),
        "not_before": _time(task.not_before),
        "submitted_at": _time(task.submitted_at),
        "status_since": _time(task.status_since),
        "agent_id": task.holder,
        "token": task.token,
        "percent": task.lease.percent if task.lease else None,
        "stalled": task.lease.stalled_at is not None if task.lease else None,
    }


def lease_state(lease: Lease) -> dict[str, Any]:
    """Return the state of a lease."""
    return {
        "token": lease.token,
        "agent_id": lease.agent_id,
        "attempt": lease.attempt,
        "status": lease.status.value,
        "granted_at": _time(lease.granted_at),
        "started_at": _time(lease.started_at),
        "expires_at": _time(lease.expires_at),
        "lease_s": lease.lease_s,
        "grace_s": lease.grace_s,
        "reports": lease.reports,
        "renewals": lease.renewals,
        "percent": lease.percent,
        "note": lease.note,
        "checkpoint": lease.checkpoint,
        "last_beat_at": _time(lease.last_beat_at),
        "extensions": lease.extensions,
        "escalated": lease.escalated,
        "advanced_at": _time(lease.advanced_at),
        "stalled": lease.stalled_at is not None,
        "stalled_at": _time(lease.stalled_at),
    }


def lease_phase(lease: Lease, pool: Pool, now: datetime, warning_s: float) -> str:
    """Return `active`, `expiring_soon`, `expired` (in its grace period, or due for recovery) or `stopped` (clock)."""
    if lease.status is LeaseStatus.STOPPED:
        return LeaseStatus.STOPPED.value
    left_s = seconds_between(now, lease.expires_at)
    floor = pool.floor(lease.token)
    if floor is not None and floor > now and left_s <= warning_s:
        return "expiring_soon"
    if left_s < 0:
        return "expired"
    return "expiring_soon" if left_s < warning_s else "active"


def lease_summary(task: Task, lease: Lease, pool: Pool, now: datetime, warning_s: float) -> dict[str, Any]:
    """Return a lease as a row of a list."""
    return {
        "task_id": task.task_id,
        "token": lease.token,
        "agent_id": lease.agent_id,
        "attempt": lease.attempt,
        "task_status": task.status.value,
        "status": lease_phase(lease, pool, now, warning_s),
        "granted_at": _time(lease.granted_at),
        "expires_at": _time(lease.expires_at),
        "grace_s": lease.grace_s,
        "grace_until": _time(after(lease.expires_at, lease.grace_s)),
        "left_s": round(seconds_between(now, lease.expires_at), 3),
        "reports": lease.reports,
        "percent": lease.percent,
        "last_beat_at": _time(lease.last_beat_at),
        "stalled": lease.stalled_at is not None,
        "stalled_at": _time(lease.stalled_at),
    }


def agent_document(agent: Agent, count: int, held: Sequence[Task], heard_at: datetime | None) -> dict[str, Any]:
    """Return an agent's state.

    `count`, `held`: how many tasks it holds, and which. `heard_at`: when it was heard last, or did last what is on
    record; None: unknown.
    """
    return {
        "agent_id": agent.agent_id,
        "status": agent.status.value,
        "intake": agent.intake.value,
        "drain_deadline": _time(agent.drain_deadline),
        "capabilities": sorted(agent.capabilities),
        "priority": agent.priority,
        "capacity": agent.capacity,
        "labels": list(agent.labels),
        "session": agent.session,
        "tasks": count,
        "holds": [
            {"task_id": task.task_id, "percent": task.lease.percent if task.lease is not None else None}
            for task in held
        ],
        "load": {"cpu": agent.cpu, "memory": agent.memory},
        "load_at": _time(agent.load_at),
        "heard_at": _time(heard_at),
    }


def workload_document(
    agent: Agent, held: int, pool: Pool, steal: StealConfig, loads_since: datetime | None = None
) -> dict[str, Any]:
    """Return an agent's load, and whether it takes new grants.

    `loads_since`: a load reported before it counts no more. None: any load counts, for documents that are written once
    and not computed again as time passes.
    """
    cpu = agent.cpu if loads_since is None else agent.cpu_since(loads_since)
    return {
        "agent_id": agent.agent_id,
        "tasks": held,
        "capacity": agent.capacity,
        "room": max(agent.capacity - held, 0),
        "load": {"cpu": agent.cpu, "memory": agent.memory},
        "load_at": _time(agent.load_at),
        "load_status": steal.load_status(held, cpu).value,
        "takes_grants": pool.accepts_grants and agent.accepts_grants and held < agent.capacity,
    }


def steal_document(steal: Steal) -> dict[str, Any]:
    """Return a steal operation's state."""
    return {
        "operation_id": steal.operation_id,
        "status": steal.status.value,
        "planned_at": _time(steal.planned_at),
        "ended_at": _time(steal.ended_at),
        "by": steal.planned_by,
        "plan": steal.plan.model_dump(mode="json"),
        "outcome": None if steal.outcome is None else steal.outcome.model_dump(mode="json"),
    }


def tail_loss_document(loss: TailLoss) -> dict[str, Any]:
    """Return what `query.health` and `custody verify` say of a loss of the log's tail."""
    return {**loss._asdict(), "at": _time(loss.at)}
