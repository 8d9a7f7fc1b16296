"""Agents joining and leaving the pool: register, heartbeat, deregister, their intake, and lost agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from domain.agent import Agent
from domain.decisions import after_attempt, checks
from domain.decisions.granting import sign_of_life
from domain.events import Entity
from domain.events import agent as ev
from domain.events import task as task_ev
from domain.lease_documents import holdings_document
from domain.lifecycles import INTAKE, AgentStatus, IntakeStatus
from domain.limits import MAX_AGENTS_FORGOTTEN
from domain.policies.load_balancing import load_status
from domain.service_commands import ContinueDeregistration
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from domain.commands import Deregister, Forget, Heartbeat, OpsDeregister, Register
    from domain.draft import Decision, Draft

RELEASES_AT_ONCE = 400
"""Tasks released in one append: each release takes two events, and one append takes at most 1,000."""


def register(draft: Draft, command: Register) -> Decision:
    """Record the agent, or what changed about it; an identical repeat records nothing."""
    agent_id = draft.request.agent_id or ""
    agent = draft.view.agent(agent_id)
    event = ev.Registered(
        capabilities=tuple(sorted(set(command.capabilities))),
        priority=command.priority,
        capacity=command.capacity,
        labels=tuple(command.labels),
    )
    if agent is None or agent.status is not AgentStatus.LIVE or _differs(agent, event):
        draft.record_agent(agent_id, event)
    sign_of_life(draft, agent_id)
    return draft.decided(agent_holdings(draft, agent_id))


def _differs(agent: Agent, event: ev.Registered) -> bool:
    return (agent.capabilities, agent.priority, agent.capacity, agent.labels) != (
        frozenset(event.capabilities),
        event.priority,
        event.capacity,
        event.labels,
    )


def heartbeat(draft: Draft, command: Heartbeat) -> Decision:
    """Renew the agent's leases. The heartbeat itself is recorded when it changes something, else once a minute."""
    agent = checks.requesting_agent(draft)
    load = None if command.load is None else ev.SystemLoad(cpu=command.load.cpu, memory=command.load.memory)
    held = draft.view.tasks_held(agent.agent_id)
    changes = load is not None and load_status(held, load.cpu) is not load_status(held, agent.cpu)
    silent_s = seconds_between(agent.last_recorded_at, draft.now) if agent.last_recorded_at else None
    due = silent_s is None or silent_s >= draft.rules.heartbeat_record_s
    if changes or due or agent.status is AgentStatus.LOST:
        draft.record_agent(agent.agent_id, ev.Heartbeat(load=load))
    sign_of_life(draft, agent.agent_id)
    return draft.decided(agent_holdings(draft, agent.agent_id))


def deregister(draft: Draft, _command: Deregister) -> Decision:
    """Release everything that the agent holds and deregister it; very many tasks take more than one append."""
    return continue_deregistration(draft, ContinueDeregistration(released=0, agent_id=draft.request.agent_id or ""))


def deregister_other(draft: Draft, command: OpsDeregister) -> Decision:
    """Take from an agent everything that it holds and deregister it, on an operator's word."""
    agent_id, reason = command.agent_id, command.reason
    return continue_deregistration(draft, ContinueDeregistration(0, agent_id, by_operator=True, reason=reason))


def forget(draft: Draft, command: Forget) -> Decision:
    """Deregister lost agents that hold nothing and were last heard, by the record, longer ago than asked for."""
    most = MAX_AGENTS_FORGOTTEN
    agent_ids = draft.view.lost_agents(after(draft.now, -command.older_than_s), most)
    for agent_id in agent_ids:
        draft.record_agent(agent_id, ev.Deregistered(reason=command.reason or "forgotten"))
    return draft.decided({"agent_ids": list(agent_ids), "more": len(agent_ids) == most})


def continue_deregistration(draft: Draft, command: ContinueDeregistration) -> Decision:
    """Release tasks of a leaving agent, and deregister it with the last ones."""
    agent = checks.known_agent(draft, command.agent_id)
    held = draft.view.held_by(agent.agent_id)
    if len(held) > RELEASES_AT_ONCE:
        # Only the last append is the command's outcome: a repeat after a crash between two goes on from there.
        draft.remembers_outcome = False
    for task_id in held[:RELEASES_AT_ONCE]:
        task = draft.task(task_id)
        if task is None or task.lease is None:
            continue
        token = task.lease.token
        if command.by_operator:
            reason = command.reason or f"{agent.agent_id} was deregistered by an operator"
            task = draft.record_task(task_id, task_ev.Revoked(token=token, agent_id=agent.agent_id, reason=reason))
            after_attempt.requeue_or_quarantine(draft, task, task_ev.Cause.REVOKE, reason)
        else:
            reason = f"{agent.agent_id} left the pool"
            task = draft.record_task(task_id, task_ev.Released(token=token, reason=reason))
            after_attempt.requeue_or_quarantine(draft, task, task_ev.Cause.RELEASE, reason)
    if len(held) > RELEASES_AT_ONCE:
        rest = replace(command, released=command.released + RELEASES_AT_ONCE)
        return draft.decided(follow_up=replace(draft.request, command=rest))
    released = command.released + len(held)
    draft.record_agent(agent.agent_id, ev.Deregistered(released=released, reason=command.reason))
    return draft.decided({"released": released})


def revive(draft: Draft) -> None:
    """Record a heartbeat of a lost agent that sent any command, unless the command recorded an event of the agent."""
    agent_id = draft.request.agent_id
    agent = draft.view.agent(agent_id) if agent_id else None
    if agent is not None and agent.status is AgentStatus.LOST and (Entity.AGENT, agent.agent_id) not in draft.after:
        draft.record_agent(agent.agent_id, ev.Heartbeat())


def mark_lost(draft: Draft, agent_id: str, silence_s: float) -> Decision:
    """Record that a live agent was not heard for too long; records nothing for any other."""
    agent = draft.view.agent(agent_id)
    if agent is not None and agent.status is AgentStatus.LIVE:
        draft.record_agent(agent_id, ev.Lost(silence_s=silence_s, threshold_s=draft.rules.lost_after_s))
    return draft.decided({})


def set_intake(draft: Draft, agent_id: str, event: ev.AgentDraining | ev.AgentPaused | ev.AgentResumed) -> Decision:
    """Open or close the intake of one agent; a repeat records nothing."""
    agent = checks.known_agent(draft, agent_id)
    repeated = isinstance(event, ev.AgentDraining) and agent.intake is IntakeStatus.DRAINING and event.deadline is None
    if INTAKE.allows(agent.intake, event.name) and not repeated:
        draft.record_agent(agent_id, event)
    return draft.decided({"agent_id": agent_id})


def end_drain(draft: Draft, agent_id: str) -> Decision:
    """Take what a draining agent still holds from it, once its deadline has passed; records nothing before."""
    agent = draft.view.agent(agent_id)
    deadline = agent.drain_deadline if agent is not None else None
    if deadline is None or deadline > draft.now:
        return draft.decided({})
    reason = "the deadline of the drain has passed"
    for task_id in draft.view.held_by(agent_id)[:RELEASES_AT_ONCE]:
        task = draft.task(task_id)
        if task is not None and task.lease is not None:
            event = task_ev.Revoked(token=task.lease.token, agent_id=agent_id, reason=reason)
            task = draft.record_task(task_id, event)
            after_attempt.requeue_or_quarantine(draft, task, task_ev.Cause.REVOKE, reason)
    return draft.decided({})


def agent_holdings(draft: Draft, agent_id: str) -> dict[str, Any]:
    """Return the agent's leases and `hand_over` directives; the `stop` directives are added when the reply is made."""
    held = (draft.task(task_id) for task_id in draft.view.held_by(agent_id))
    agent = draft.after.get((Entity.AGENT, agent_id)) or draft.view.agent(agent_id)
    draining = isinstance(agent, Agent) and agent.intake is IntakeStatus.DRAINING
    return holdings_document((task for task in held if task is not None), draining=draining)
