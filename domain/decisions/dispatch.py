"""`decide`: runs the decision that belongs to a command's type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.commands import agent_commands, operator_commands, service_commands
from domain.commands.submit import Submit, SubmitMany
from domain.decision import Decision
from domain.decisions import judging, leading, membership, operating, stealing, submitting, working
from domain.draft import Draft
from domain.events import agent as agent_ev
from domain.events import pool as pool_ev
from domain.refusal import Refused
from domain.request import Request
from domain.timestamps import after

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.pool_view import PoolView, SearchablePoolView
    from domain.rules import Rules


def decide(view: SearchablePoolView, request: Request, now: datetime, rules: Rules) -> Decision:
    """Decide a command on this state: return the events to append, and a result or a refusal.

    Pure: the same arguments give the same decision. A refusal has no events, except a late report that is kept as
    evidence. `now` must not lie before the log's last event.
    """
    draft = Draft(view, request, now, rules)
    search = _SEARCHES.get(type(request.command))
    if search is not None:
        return _outcome(draft, search, view)
    return _outcome(draft, _HANDLERS[type(request.command)])


def decide_named(view: PoolView, request: Request, now: datetime, rules: Rules) -> Decision:
    """Decide, as `decide` does, a command that searches nothing: any but `claim`, `assign` and `forget`."""
    return _outcome(Draft(view, request, now, rules), _HANDLERS[type(request.command)])


def _outcome(draft: Draft, handler: Callable[..., Decision], *indexes: SearchablePoolView) -> Decision:
    try:
        decision = handler(draft, draft.request.command, *indexes)
        membership.revive(draft)
    except Refused as refused:
        if refused.keep_events:
            return draft.decided(refusal=refused.refusal)
        return Decision([], {}, refusal=refused.refusal)
    return decision


def _drain(draft: Draft, command: operator_commands.Drain) -> Decision:
    if command.agent_id is not None:
        deadline = None if command.deadline_s is None else after(draft.now, command.deadline_s)
        event = agent_ev.AgentDraining(reason=command.reason, deadline=deadline)
        return membership.set_intake(draft, command.agent_id, event)
    return operating.set_pool_intake(draft, pool_ev.PoolDraining(reason=command.reason))


def _pause(draft: Draft, command: operator_commands.Pause) -> Decision:
    if command.agent_id is not None:
        return membership.set_intake(draft, command.agent_id, agent_ev.AgentPaused(reason=command.reason))
    return operating.set_pool_intake(draft, pool_ev.PoolPaused(reason=command.reason))


def _resume(draft: Draft, command: operator_commands.Resume) -> Decision:
    if command.agent_id is not None:
        return membership.set_intake(draft, command.agent_id, agent_ev.AgentResumed(reason=command.reason))
    return operating.set_pool_intake(draft, pool_ev.PoolResumed(reason=command.reason))


def _judge(draft: Draft, command: service_commands.Judge) -> Decision:
    return judging.judge_tasks(draft, command.task_ids)


def _end_drain(draft: Draft, command: service_commands.EndDrain) -> Decision:
    return membership.end_drain(draft, command.agent_id)


def _mark_lost(draft: Draft, command: service_commands.MarkLost) -> Decision:
    return membership.mark_lost(draft, command)


_SEARCHES: dict[type, Callable[[Draft, Any, SearchablePoolView], Decision]] = {
    agent_commands.Claim: working.claim,
    operator_commands.Assign: operating.assign,
    operator_commands.Forget: membership.forget,
}
_HANDLERS: dict[type, Callable[[Draft, Any], Decision]] = {
    agent_commands.Register: membership.register,
    agent_commands.Heartbeat: membership.heartbeat,
    agent_commands.Deregister: membership.deregister,
    agent_commands.ReadLease: working.read_lease,
    agent_commands.Start: working.start,
    agent_commands.Progress: working.progress,
    agent_commands.Silence: working.silence,
    agent_commands.Release: working.release,
    agent_commands.Block: working.block,
    agent_commands.Complete: working.complete,
    agent_commands.Fail: working.fail,
    Submit: submitting.submit,
    operator_commands.Cancel: operating.cancel,
    operator_commands.Requeue: operating.requeue,
    operator_commands.Unblock: operating.unblock,
    operator_commands.Revoke: operating.revoke,
    operator_commands.OpsComplete: operating.complete,
    operator_commands.OpsFail: operating.fail,
    operator_commands.OpsBlock: operating.block,
    service_commands.OnSelected: operating.on_selected,
    SubmitMany: submitting.submit_many,
    operator_commands.Update: operating.update,
    operator_commands.Retry: submitting.retry,
    operator_commands.Annotate: operating.annotate,
    operator_commands.OpsDeregister: membership.deregister_other,
    operator_commands.StealTasks: stealing.steal,
    operator_commands.Drain: _drain,
    operator_commands.Pause: _pause,
    operator_commands.Resume: _resume,
    operator_commands.ReportLoad: membership.report_load,
    service_commands.Open: leading.open_log,
    service_commands.Lead: leading.lead,
    service_commands.FillTail: leading.fill_tail,
    service_commands.Rearm: leading.rearm,
    service_commands.Judge: _judge,
    service_commands.Extend: judging.extend,
    service_commands.MarkLost: _mark_lost,
    service_commands.EndDrain: _end_drain,
    service_commands.PlanSteal: stealing.plan,
    service_commands.PlanMove: stealing.plan_move,
    service_commands.ExecuteSteal: stealing.execute,
    service_commands.ContinueDeregistration: membership.continue_deregistration,
}
