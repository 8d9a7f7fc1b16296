"""Agents joining and leaving the pool: register, heartbeat, load, deregister, forget, their intake, and lost agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from domain.agent import Agent
from domain.commands.agent_commands import is_sign_of_life
from domain.commands.service_commands import ContinueDeregistration
from domain.decisions import after_attempt, checks
from domain.decisions.granting import sign_of_life
from domain.decisions.working import recover_vouched
from domain.events import Entity
from domain.events import agent as ev
from domain.events import task as task_ev
from domain.lease_documents import holdings_document, stale_task_directives
from domain.lifecycles import INTAKE, AgentStatus, IntakeStatus
from domain.limits import MAX_AGENTS_FORGOTTEN
from domain.timestamps import after, seconds_between

if TYPE_CHECKING:
    from datetime import datetime

    from domain.commands.agent_commands import Deregister, Heartbeat, Register
    from domain.commands.command import LoadReport
    from domain.commands.operator_commands import Forget, OpsDeregister, ReportLoad
    from domain.commands.service_commands import MarkLost
    from domain.decision import Decision
    from domain.draft import Draft
    from domain.pool_view import SearchablePoolView

RELEASES_AT_ONCE = 400
"""Tasks released in one append: each release takes two events, and one append takes at most 1,000."""


def register(draft: Draft, command: Register) -> Decision:
    """Record the agent, or what changed about it; an identical repeat records nothing. The load reported is cleared.

    One that names another session than the current one begins it. One that names none begins a new one, too, because
    nothing says that its process is the same. What the earlier session held stays the agent's and is in the result.
    """
    agent_id = draft.request.agent_id or ""
    agent = draft.view.agent(agent_id)
    event = ev.Registered(
        capabilities=tuple(sorted(set(command.capabilities))),
        priority=command.priority,
        capacity=command.capacity,
        labels=tuple(command.labels),
        session=command.session,
        clears_load=True,
    )
    same_session = agent is not None and command.session is not None and agent.session == command.session
    if agent is None or agent.status is not AgentStatus.LIVE or _differs(agent, event):
        draft.record_agent(agent_id, event)
    sign_of_life(draft, agent_id, frozenset(draft.view.held_by(agent_id)))
    return draft.decided(agent_holdings(draft, agent_id), begins_session=not same_session)


def _differs(agent: Agent, event: ev.Registered) -> bool:
    return agent.load_at is not None or (
        agent.capabilities,
        agent.priority,
        agent.capacity,
        agent.labels,
        agent.session,
    ) != (
        frozenset(event.capabilities),
        event.priority,
        event.capacity,
        event.labels,
        event.session,
    )


def heartbeat(draft: Draft, command: Heartbeat) -> Decision:
    """Renew the agent's leases. The heartbeat itself is recorded when it changes something, else once a minute.

    With `tasks`, only the leases that they name by their current tokens are renewed; a task with another token gets the
    directive `stop`. With `alive: false` it is no sign of life: it reports the load and renews nothing.
    """
    agent = checks.requesting_agent(draft)
    agent_id = agent.agent_id
    if not command.alive:
        if command.load is not None:
            _record_load(draft, agent, command.load)
        return draft.decided(agent_holdings(draft, agent_id))
    load = None if command.load is None else _system_load(command.load)
    vouches = command.tasks is not None
    changes = vouches is not agent.vouches or (load is not None and _changes_load_status(draft, agent, load))
    due = _is_due(agent.last_recorded_at, draft) or (load is not None and _is_load_due(agent, draft))
    if changes or due or agent.status is AgentStatus.LOST:
        draft.record_agent(agent_id, ev.Heartbeat(load=load, vouches=vouches))
    if command.tasks is None:
        sign_of_life(draft, agent_id, frozenset(draft.view.held_by(agent_id)))
        return draft.decided(agent_holdings(draft, agent_id))
    stops = stale_task_directives(((each.task_id, each.token) for each in command.tasks), draft.task, agent_id)
    stale = {(stop["task_id"], stop["token"]) for stop in stops}
    vouched = {each.task_id: each.token for each in command.tasks if (each.task_id, each.token) not in stale}
    for task_id, token in vouched.items():
        recover_vouched(draft, task_id, token)
    sign_of_life(draft, agent_id, vouched)
    holdings = agent_holdings(draft, agent_id)
    return draft.decided({**holdings, "directives": [*stops, *holdings["directives"]]})


def report_load(draft: Draft, command: ReportLoad) -> Decision:
    """Record an agent's load as others see it. It is no sign of life: it renews nothing and revives nothing."""
    agent = checks.known_agent(draft, command.agent_id)
    _record_load(draft, agent, command.load)
    return draft.decided({"agent_id": agent.agent_id})


def _record_load(draft: Draft, agent: Agent, report: LoadReport) -> None:
    """Record a load when it is the first, when it changes the agent's load status, else once a minute."""
    load = _system_load(report)
    if agent.load_at is None or _is_load_due(agent, draft) or _changes_load_status(draft, agent, load):
        draft.record_agent(agent.agent_id, ev.LoadReported(load=load))


def _system_load(report: LoadReport) -> ev.SystemLoad:
    return ev.SystemLoad(cpu=report.cpu, memory=report.memory)


def _changes_load_status(draft: Draft, agent: Agent, load: ev.SystemLoad) -> bool:
    held = draft.view.tasks_held(agent.agent_id)
    status_of = draft.rules.steal.load_status
    return status_of(held, load.cpu) is not status_of(held, draft.cpu_of(agent))


def _is_load_due(agent: Agent, draft: Draft) -> bool:
    """Return whether the load on record is so old that the next report is recorded, before the load is outdated."""
    if agent.load_at is None:
        return False
    valid_s = min(draft.rules.heartbeat_record_s, draft.rules.load_valid_s / 2)
    return seconds_between(agent.load_at, draft.now) >= valid_s


def _is_due(last_at: datetime | None, draft: Draft) -> bool:
    """Return whether the last record is so old that the next heartbeat is recorded, even if it changes nothing."""
    return last_at is None or seconds_between(last_at, draft.now) >= draft.rules.heartbeat_record_s


def deregister(draft: Draft, command: Deregister) -> Decision:
    """Release everything that the agent holds and deregister it; very many tasks take more than one append.

    With a session it ends that one only: once another one began, it is refused and releases nothing.
    """
    agent_id = draft.request.agent_id or ""
    return continue_deregistration(draft, ContinueDeregistration(0, agent_id, session=command.session))


def deregister_other(draft: Draft, command: OpsDeregister) -> Decision:
    """Revoke everything that an agent holds and deregister it, for an operator."""
    agent_id, reason = command.agent_id, command.reason
    return continue_deregistration(draft, ContinueDeregistration(0, agent_id, by_operator=True, reason=reason))


def forget(draft: Draft, command: Forget, view: SearchablePoolView) -> Decision:
    """Deregister lost agents that hold nothing and were last heard, by the record, longer ago than asked for."""
    most = MAX_AGENTS_FORGOTTEN
    agent_ids = view.lost_agents(after(draft.now, -command.older_than_s), most)
    for agent_id in agent_ids:
        draft.record_agent(agent_id, ev.Deregistered(reason=command.reason or "forgotten"))
    return draft.decided({"agent_ids": list(agent_ids), "more": len(agent_ids) == most})


def continue_deregistration(draft: Draft, command: ContinueDeregistration) -> Decision:
    """Release tasks of a leaving agent, and deregister it with the last ones."""
    agent = checks.known_agent(draft, command.agent_id)
    checks.require_current_session(agent, command.session)
    held = draft.view.held_by(agent.agent_id)
    if len(held) > RELEASES_AT_ONCE:
        # Only the last append is the command's outcome: a repeat after a crash between two goes on from there.
        draft.remembers_outcome = False
    for task_id in held[:RELEASES_AT_ONCE]:
        task = draft.task(task_id)
        if task is None or task.lease is None:
            continue
        if command.by_operator:
            after_attempt.revoke(draft, task, command.reason or f"{agent.agent_id} was deregistered by an operator")
        else:
            reason = f"{agent.agent_id} left the pool"
            task = draft.record_task(task_id, task_ev.Released(token=task.lease.token, reason=reason))
            after_attempt.requeue_or_quarantine(draft, task, task_ev.Cause.RELEASE, reason)
    if len(held) > RELEASES_AT_ONCE:
        rest = replace(command, released=command.released + RELEASES_AT_ONCE)
        return draft.decided(follow_up=replace(draft.request, command=rest))
    released = command.released + len(held)
    draft.record_agent(agent.agent_id, ev.Deregistered(released=released, reason=command.reason))
    return draft.decided({"released": released})


def revive(draft: Draft) -> None:
    """Record a heartbeat of a lost agent that sent any command, unless the command recorded an event of the agent.

    A claim that waited revives none: its agent was heard when it was sent.
    """
    request = draft.request
    agent_id = request.agent_id if request.asked_at is None and is_sign_of_life(request.command) else None
    agent = draft.view.agent(agent_id) if agent_id else None
    if agent is not None and agent.status is AgentStatus.LOST and (Entity.AGENT, agent.agent_id) not in draft.after:
        draft.record_agent(agent.agent_id, ev.Heartbeat(vouches=agent.vouches))


def mark_lost(draft: Draft, command: MarkLost) -> Decision:
    """Record that a live agent was not heard for too long; records nothing for any other."""
    agent = draft.view.agent(command.agent_id)
    if agent is not None and agent.status is AgentStatus.LIVE:
        threshold_s = draft.rules.lost_after_s
        lost = ev.Lost(silence_s=command.silence_s, threshold_s=threshold_s, heard_at=command.heard_at)
        draft.record_agent(command.agent_id, lost)
    return draft.decided({})


def set_intake(draft: Draft, agent_id: str, event: ev.IntakeEvent) -> Decision:
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
    for task_id in draft.view.held_by(agent_id)[:RELEASES_AT_ONCE]:
        task = draft.task(task_id)
        if task is not None and task.lease is not None:
            after_attempt.revoke(draft, task, "the deadline of the drain has passed")
    return draft.decided({})


def agent_holdings(draft: Draft, agent_id: str) -> dict[str, Any]:
    """Return the agent's leases and `hand_over` directives; the `stop` directives are added when the reply is made."""
    return holdings_document(draft.agent(agent_id), map(draft.task, draft.view.held_by(agent_id)))
