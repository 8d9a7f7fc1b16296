"""The checks that decisions make first, in the order of the contract's errors; each refuses with its own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.actors import acting_agent
from domain.errors import RefusalCode
from domain.events import task as ev
from domain.lifecycles import TASK, AgentStatus, IntakeStatus, LeaseStatus, TaskStatus
from domain.limits import MAX_LATE_REPORTS
from domain.policies.liveness import was_heard_for_steal, was_heard_lately
from domain.policies.load_balancing import StealPolicy
from domain.policies.sweeping import deadline_exceeded_at
from domain.refusal import Refused, invalid_field
from domain.timestamps import format_timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from domain.agent import Agent
    from domain.commands.agent_commands import Complete, OnTask, Progress
    from domain.commands.operator_commands import Update
    from domain.commands.submit import Submit
    from domain.draft import Draft
    from domain.task import FormerLease, Lease, Task


def known_agent(draft: Draft, agent_id: str) -> Agent:
    """Return a registered agent; refuses with `unknown_agent`."""
    agent = draft.view.agent(agent_id)
    if agent is None or agent.status is AgentStatus.DEREGISTERED:
        raise unknown_agent(agent_id)
    return agent


def unknown_agent(agent_id: str) -> Refused:
    """Return the refusal for an agent that is not in the pool."""
    return Refused(
        RefusalCode.UNKNOWN_AGENT,
        f"agent {agent_id} is not registered in this pool; register it first",
        agent_id=agent_id,
    )


def requesting_agent(draft: Draft) -> Agent:
    """Return the registered agent that sent the command; refuses with `unknown_agent` or `stale_session`."""
    agent = known_agent(draft, draft.request.agent_id or "")
    require_current_session(agent, getattr(draft.request.command, "session", None))
    return agent


def require_current_session(agent: Agent, session: str | None) -> None:
    """Refuse with `stale_session` a command of a session that is not, or no longer, the agent's current one.

    `session`: of the process that sent the command; None if it did not say.
    """
    if session is None or session == agent.session:
        return
    raise Refused(
        RefusalCode.STALE_SESSION,
        f"session {session} is not the current one of agent {agent.agent_id}: another process registered since, or"
        " this one never did; stop working on what the earlier one held, or register",
        agent_id=agent.agent_id,
    )


def known_task(draft: Draft, task_id: str) -> Task:
    """Return a task; refuses with `unknown_task`."""
    task = draft.task(task_id)
    if task is None:
        raise unknown_task(task_id)
    return task


def unknown_task(task_id: str) -> Refused:
    """Return the refusal for a task that the pool does not know."""
    return Refused(RefusalCode.UNKNOWN_TASK, f"no task {task_id} was submitted to this pool", task_id=task_id)


def live_task(draft: Draft, task_id: str) -> Task:
    """Return a task that has not ended; refuses with `unknown_task` or `task_finished`."""
    task = known_task(draft, task_id)
    if task.terminal:
        raise task_finished(task)
    return task


def task_finished(task: Task, *, keep_events: bool = False) -> Refused:
    """Return the refusal for a command on a task that has ended."""
    outcome = task.outcome
    details: dict[str, Any] = {"task_id": task.task_id, "status": task.status.value}
    if outcome is not None:
        details |= {
            "ended_at": format_timestamp(outcome.at),
            "by": outcome.actor,
            "token": outcome.token,
            "agent_id": outcome.agent_id,
            "detail": outcome.detail,
        }
    return Refused(
        RefusalCode.TASK_FINISHED, f"task {task.task_id} is {task.status} for good", keep_events=keep_events, **details
    )


def named_lease(draft: Draft, command: OnTask) -> tuple[Task, Lease]:
    """Return the task and the lease that the command names with its current token.

    Refuses with `unknown_task`, `task_finished`, `stale_token` or `not_holder`.
    """
    task = known_task(draft, command.task_id)
    lease = task.lease
    if lease is not None and lease.token == command.token:
        if lease.agent_id != draft.request.agent_id:
            raise Refused(
                RefusalCode.NOT_HOLDER,
                f"task {task.task_id} is held by {lease.agent_id}",
                **_situation(task),
            )
        return task, lease
    if task.terminal:
        raise task_finished(task)
    raise stale_token(task, command.token)


def stale_token(task: Task, token: int, *, keep_events: bool = False) -> Refused:
    """Return the refusal for a token that is not, or no longer, the task's current one."""
    return Refused(
        RefusalCode.STALE_TOKEN,
        f"token {token} is not the current one of task {task.task_id}, which is {task.status}; stop working on it",
        keep_events=keep_events,
        **_situation(task),
    )


def keep_late_report(draft: Draft, command: Progress | Complete) -> None:
    """Record as evidence what a former holder reports after it lost the lease, then refuse the command.

    Does nothing unless the requesting agent once held the task under this token and lost it. At most
    `MAX_LATE_REPORTS` are kept for a token; further ones get the same refusal and are not recorded.
    """
    task = known_task(draft, command.task_id)
    former = _lost_lease(task, command.token, draft.request.agent_id)
    if former is None:
        return
    keep_events = former.late_reports < MAX_LATE_REPORTS
    if keep_events:
        percent = getattr(command, "percent", None)
        draft.record_task(
            task.task_id,
            ev.LateProgress(
                token=command.token,
                agent_id=former.agent_id,
                kind="completion" if percent is None else "progress",
                percent=percent,
                message=getattr(command, "message", None),
                checkpoint=getattr(command, "checkpoint", None),
                result=getattr(command, "result", None),
            ),
        )
    if task.terminal:
        raise task_finished(task, keep_events=keep_events)
    raise stale_token(task, command.token, keep_events=keep_events)


def _lost_lease(task: Task, token: int, agent_id: str | None) -> FormerLease | None:
    if task.lease is not None and task.lease.token == token:
        return None
    outcome = task.outcome
    completed = task.status is TaskStatus.COMPLETED and outcome is not None and outcome.token == token
    if completed and outcome is not None and acting_agent(outcome.actor) == agent_id:
        # Its late completion was accepted, so a repeat of it is not recorded again.
        return None
    return next(
        (each for each in task.former if (each.token, each.agent_id, each.lost) == (token, agent_id, True)), None
    )


def expired_lease(task: Task, token: int, agent_id: str | None) -> FormerLease | None:
    """Return the expired lease that may still complete the task, if the token and the agent match it."""
    if task.late_token != token:
        return None
    former = _lost_lease(task, token, agent_id)
    return former if former is not None and former.ended is LeaseStatus.EXPIRED else None


def require_allowed(task: Task, event: str) -> None:
    """Refuse with `illegal_transition` unless the task's lifecycle allows the event now."""
    if not TASK.allows(task.status, event):
        raise illegal_transition(task, event)


def require_time_reached(draft: Draft, task: Task) -> None:
    """Refuse with `illegal_transition` when a queued task still waits for its time; `details` has it."""
    not_before = task.not_before
    if not_before is not None and not_before > draft.now:
        until = format_timestamp(not_before)
        raise illegal_transition(task, ev.Leased.name, f"it is granted to no agent before {until}", not_before=until)


def illegal_transition(task: Task, event: str, why: str = "", **details: Any) -> Refused:
    """Return the refusal for an event that the lifecycle, or a further rule (`why`), does not allow in this status.

    `details`: further ones for the caller.
    """
    message = f"task {task.task_id} is {task.status}: {why or event + ' is not possible from there'}"
    return Refused(
        RefusalCode.ILLEGAL_TRANSITION,
        message,
        task_id=task.task_id,
        state=task.status.value,
        event=event,
        allowed=[each for each in TASK.allowed(task.status) if each != event],
        **details,
    )


def waits_too_long(command: Submit | Update, deadline: datetime) -> Refused:
    """Return the refusal of a wait that would last until the deadline, or beyond it."""
    field = "not_before" if command.delay_s is None else "delay_s"
    return invalid_field(field, f"the wait must end before the deadline, {format_timestamp(deadline)}")


def is_overdue(draft: Draft, task: Task) -> bool:
    """Return whether the task's deadline has passed, so that it is no longer granted."""
    deadline = task.definition.deadline
    return deadline is not None and deadline_exceeded_at(deadline) <= draft.now


def has_open_intake(draft: Draft, agent: Agent) -> bool:
    """Return whether both the pool and the agent accept new grants."""
    return draft.view.pool.accepts_grants and agent.intake is IntakeStatus.OPEN


def require_open_pool(draft: Draft) -> None:
    """Refuse with `paused` when the pool accepts no new grants."""
    pool = draft.view.pool
    if not pool.accepts_grants:
        raise Refused(RefusalCode.PAUSED, f"the pool is {pool.intake}: nothing is granted", pool=pool.intake.value)


def require_open_intake(draft: Draft, agent: Agent) -> None:
    """Refuse with `paused` when the pool or the agent accepts no new grants."""
    require_open_pool(draft)
    if agent.intake is not IntakeStatus.OPEN:
        raise _agent_paused(agent, agent.intake, "it gets no new grants")


def _agent_paused(agent: Agent, status: IntakeStatus | AgentStatus, consequence: str) -> Refused:
    return Refused(
        RefusalCode.PAUSED,
        f"agent {agent.agent_id} is {status}: {consequence}",
        agent_id=agent.agent_id,
        agent=status.value,
    )


def may_receive_unasked(draft: Draft, agent: Agent) -> bool:
    """Return whether the agent may be given work that it did not ask for: it was heard within a first term."""
    return was_heard_lately(
        draft.rules.lease,
        silence_s=draft.view.silence_s(agent.agent_id),
        last_recorded_at=agent.last_recorded_at,
        now=draft.now,
    )


def may_receive_steal(draft: Draft, agent: Agent) -> bool:
    """Return whether the stealer may move tasks to the agent; an operator may in any case."""
    if draft.rules.steal.policy is not StealPolicy.BALANCE:
        return may_receive_unasked(draft, agent)
    silence_s = draft.view.silence_s(agent.agent_id)
    return was_heard_for_steal(silence_s=silence_s, last_recorded_at=agent.last_recorded_at, now=draft.now)


def require_not_lost(agent: Agent) -> None:
    """Refuse with `paused` when work is to be given to a lost agent; such an agent may still claim for itself."""
    if agent.status is AgentStatus.LOST:
        raise _agent_paused(agent, agent.status, "it gets no new grants until it is heard again")


def require_steal_source(agent: Agent) -> None:
    """Refuse with `paused` when the agent is lost: what it holds comes back when its leases are over."""
    if not agent.may_be_stolen_from:
        raise _agent_paused(agent, agent.status, "nothing is stolen from it")


def require_room(draft: Draft, agent: Agent) -> int:
    """Return how many more leases the agent may hold, at least 1; refuses with `at_capacity` when there is no room."""
    held = draft.view.tasks_held(agent.agent_id)
    if held >= agent.capacity:
        raise Refused(
            RefusalCode.AT_CAPACITY,
            f"agent {agent.agent_id} holds {held} leases and may hold {agent.capacity}",
            agent_id=agent.agent_id,
            held=held,
            capacity=agent.capacity,
        )
    return agent.capacity - held


def why_not_able(task: Task, agent: Agent) -> str | None:
    """Return which capabilities that the task requires the agent lacks, as a phrase for people; None if it has all."""
    missing = sorted(set(task.definition.required_capabilities) - agent.capabilities)
    return f"{agent.agent_id} lacks the capabilities {', '.join(missing)}" if missing else None


def _situation(task: Task) -> dict[str, Any]:
    lease = task.lease
    return {
        "task_id": task.task_id,
        "status": task.status.value,
        "attempt": task.attempt,
        "holder": task.holder,
        "token": None if lease is None else lease.token,
        "held_since": None if lease is None else format_timestamp(lease.granted_at),
    }
