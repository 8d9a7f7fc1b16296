"""What agents say of themselves: register, heartbeat, deregister."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from domain.agent import Agent
from domain.decisions import after_attempt, checks
from domain.decisions.granting import sign_of_life
from domain.events import Entity
from domain.events import agent as ev
from domain.events import task as task_ev
from domain.lease_terms import holding_document
from domain.lifecycles import INTAKE, AgentStatus, IntakeStatus
from domain.policies.load_balancing import load_status
from domain.service_commands import Leave
from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from domain.commands import Deregister, Heartbeat, Register
    from domain.draft import Decision, Draft

RELEASES_AT_ONCE = 400
"""Each release takes two events, and one append takes a thousand."""


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
    return draft.decided(what_it_holds(draft, agent_id))


def _differs(agent: Agent, event: ev.Registered) -> bool:
    return (agent.capabilities, agent.priority, agent.capacity, agent.labels) != (
        frozenset(event.capabilities),
        event.priority,
        event.capacity,
        event.labels,
    )


def heartbeat(draft: Draft, command: Heartbeat) -> Decision:
    """Renew what the agent holds; record the beat itself when it changes something, and else once a minute."""
    agent = checks.asking_agent(draft)
    load = None if command.load is None else ev.SystemLoad(cpu=command.load.cpu, memory=command.load.memory)
    held = draft.view.tasks_held(agent.agent_id)
    changes = load is not None and load_status(held, load.cpu) is not load_status(held, agent.cpu)
    silent_s = seconds_between(agent.last_recorded_at, draft.now) if agent.last_recorded_at else None
    due = silent_s is None or silent_s >= draft.rules.heartbeat_record_s
    if changes or due or agent.status is AgentStatus.LOST:
        draft.record_agent(agent.agent_id, ev.Heartbeat(load=load))
    sign_of_life(draft, agent.agent_id)
    return draft.decided(what_it_holds(draft, agent.agent_id))


def deregister(draft: Draft, _command: Deregister) -> Decision:
    """Release everything the agent holds, then let it go; a very large holding goes in more than one append."""
    return leave(draft, Leave(released=0))


def leave(draft: Draft, command: Leave) -> Decision:
    """Release what the agent still holds, and let it go once it holds nothing."""
    agent = checks.asking_agent(draft)
    held = draft.view.held_by(agent.agent_id)
    if len(held) > RELEASES_AT_ONCE:
        # Only the last append is the command's outcome: a repeat after a crash between two goes on from there.
        draft.remembers_outcome = False
    for task_id in held[:RELEASES_AT_ONCE]:
        task = draft.task(task_id)
        if task is None or task.lease is None:
            continue
        reason = f"{agent.agent_id} left the pool"
        task = draft.record_task(task_id, task_ev.Released(token=task.lease.token, reason=reason))
        after_attempt.again(draft, task, task_ev.Cause.RELEASE, reason)
    if len(held) > RELEASES_AT_ONCE:
        return draft.decided(follow_up=replace(draft.request, command=Leave(command.released + RELEASES_AT_ONCE)))
    released = command.released + len(held)
    draft.record_agent(agent.agent_id, ev.Deregistered(released=released))
    return draft.decided({"released": released})


def revive(draft: Draft) -> None:
    """Bring a lost agent back that was heard again; any command does, and some say so in an event of their own."""
    agent_id = draft.request.agent_id
    agent = draft.view.agent(agent_id) if agent_id else None
    if agent is not None and agent.status is AgentStatus.LOST and (Entity.AGENT, agent.agent_id) not in draft.after:
        draft.record_agent(agent.agent_id, ev.Heartbeat())


def mark_lost(draft: Draft, agent_id: str, silence_s: float) -> Decision:
    """Record that an agent was not heard for too long; nothing where it is no longer counted on anyway."""
    agent = draft.view.agent(agent_id)
    if agent is not None and agent.status is AgentStatus.LIVE:
        draft.record_agent(agent_id, ev.Lost(silence_s=silence_s, threshold_s=draft.rules.lost_after_s))
    return draft.decided({})


def set_intake(draft: Draft, agent_id: str, event: ev.AgentDraining | ev.AgentPaused | ev.AgentResumed) -> Decision:
    """Open or close the gate of one agent; a repeat changes nothing and records nothing."""
    agent = checks.known_agent(draft, agent_id)
    if INTAKE.allows(agent.intake, event.name):
        draft.record_agent(agent_id, event)
    return draft.decided({"agent_id": agent_id})


def what_it_holds(draft: Draft, agent_id: str) -> dict[str, Any]:
    """Return what the agent holds and should hand over; what it should stop is added when the reply is made."""
    held = (draft.task(task_id) for task_id in draft.view.held_by(agent_id))
    agent = draft.after.get((Entity.AGENT, agent_id)) or draft.view.agent(agent_id)
    draining = isinstance(agent, Agent) and agent.intake is IntakeStatus.DRAINING
    return holding_document((task for task in held if task is not None), draining=draining)
