"""`decide`: runs the decision that belongs to a command's type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain import commands, service_commands
from domain.decisions import judging, leading, membership, operating, stealing, working
from domain.draft import Decision, Draft, Refused, Request
from domain.events import agent as agent_ev
from domain.events import pool as pool_ev
from domain.timestamps import after

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.pool_view import PoolView
    from domain.rules import Rules


def decide(view: PoolView, request: Request, now: datetime, rules: Rules) -> Decision:
    """Decide a command on this state: return the events to append, and a result or a refusal.

    Pure: the same arguments give the same decision. A refusal has no events, except a late report that is kept as
    evidence. `now` must not lie before the log's last event.
    """
    draft = Draft(view, request, now, rules)
    try:
        decision = _HANDLERS[type(request.command)](draft, request.command)
        membership.revive(draft)
    except Refused as refused:
        if refused.keep_events:
            return draft.decided(refusal=refused.refusal)
        return Decision([], {}, refusal=refused.refusal)
    return decision


def _drain(draft: Draft, command: commands.Drain) -> Decision:
    if command.agent_id is not None:
        deadline = None if command.deadline_s is None else after(draft.now, command.deadline_s)
        event = agent_ev.AgentDraining(reason=command.reason, deadline=deadline)
        return membership.set_intake(draft, command.agent_id, event)
    return operating.set_pool_intake(draft, pool_ev.PoolDraining(reason=command.reason))


def _pause(draft: Draft, command: commands.Pause) -> Decision:
    if command.agent_id is not None:
        return membership.set_intake(draft, command.agent_id, agent_ev.AgentPaused(reason=command.reason))
    return operating.set_pool_intake(draft, pool_ev.PoolPaused(reason=command.reason))


def _resume(draft: Draft, command: commands.Resume) -> Decision:
    if command.agent_id is not None:
        return membership.set_intake(draft, command.agent_id, agent_ev.AgentResumed(reason=command.reason))
    return operating.set_pool_intake(draft, pool_ev.PoolResumed(reason=command.reason))


def _judge(draft: Draft, command: service_commands.Judge) -> Decision:
    return judging.judge_tasks(draft, command.task_ids)


def _end_drain(draft: Draft, command: service_commands.EndDrain) -> Decision:
    return membership.end_drain(draft, command.agent_id)


def _mark_lost(draft: Draft, command: service_commands.MarkLost) -> Decision:
    return membership.mark_lost(draft, command.agent_id, command.silence_s)


_HANDLERS: dict[type, Callable[[Draft, Any], Decision]] = {
    commands.Register: membership.register,
    commands.Heartbeat: membership.heartbeat,
    commands.Deregister: membership.deregister,
    commands.Claim: working.claim,
    commands.ReadLease: working.read_lease,
    commands.Start: working.start,
    commands.Progress: working.progress,
    commands.Silence: working.silence,
    commands.Release: working.release,
    commands.Block: working.block,
    commands.Complete: working.complete,
    commands.Fail: working.fail,
    commands.Submit: operating.submit,
    commands.Assign: operating.assign,
    commands.Cancel: operating.cancel,
    commands.Requeue: operating.requeue,
    commands.Unblock: operating.unblock,
    commands.Revoke: operating.revoke,
    commands.OpsComplete: operating.complete,
    commands.OpsFail: operating.fail,
    commands.OpsBlock: operating.block,
    service_commands.OnSelected: operating.on_selected,
    commands.SubmitMany: operating.submit_many,
    commands.Update: operating.update,
    commands.Retry: operating.retry,
    commands.Annotate: operating.annotate,
    commands.OpsDeregister: membership.deregister_other,
    commands.Forget: membership.forget,
    commands.StealTasks: stealing.steal,
    commands.Drain: _drain,
    commands.Pause: _pause,
    commands.Resume: _resume,
    commands.ReportLoad: membership.report_load,
    service_commands.Open: leading.open_log,
    service_commands.Lead: leading.lead,
    service_commands.Rearm: leading.rearm,
    service_commands.Judge: _judge,
    service_commands.Extend: judging.extend,
    service_commands.MarkLost: _mark_lost,
    service_commands.EndDrain: _end_drain,
    service_commands.PlanSteal: stealing.plan,
    service_commands.ExecuteSteal: stealing.execute,
    service_commands.ContinueDeregistration: membership.continue_deregistration,
}
