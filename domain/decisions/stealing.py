"""Stealing: tasks that move from one agent to another, planned in one append, checked again and moved in the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from domain.actors import STEALER
from domain.commands.service_commands import ExecuteSteal
from domain.decisions import checks
from domain.errors import RefusalCode
from domain.events import steal as ev
from domain.events import task as task_ev
from domain.lease_expiry import first_expiry
from domain.lifecycles import StealStatus, TaskStatus
from domain.limits import MAX_STEAL_TASKS
from domain.policies.load_balancing import move_count, steal_batch
from domain.refusal import Refused
from domain.timestamps import seconds_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.agent import Agent
    from domain.commands.operator_commands import StealTasks
    from domain.commands.service_commands import PlanMove, PlanSteal
    from domain.decision import Decision
    from domain.draft import Draft
    from domain.task import Task


def why_not_stealable(draft: Draft, task: Task | None, source: str, target: Agent) -> str | None:
    """Return why the task cannot move from the source to the target now, as a phrase for people; None if it can."""
    if task is None or task.terminal:
        return "it has ended"
    if task.lease is None or task.lease.agent_id != source:
        return f"{source} does not hold it"
    if task.status is not TaskStatus.ASSIGNED:
        return f"it is {task.status}, and only what was not started moves"
    lacks = checks.why_not_able(task, target)
    if lacks is not None or checks.is_overdue(draft, task):
        return lacks or "its deadline has passed"
    budgets = task.definition.budgets
    if task.steals >= budgets.steals:
        return f"it was stolen {task.steals} times; the budget is {budgets.steals}"
    cooldown_s = draft.rules.steal.cooldown_s
    if task.last_stolen_at is not None and seconds_between(task.last_stolen_at, draft.now) < cooldown_s:
        return f"it was stolen less than {cooldown_s:g} s ago"
    return None


def _stealing_allowed(draft: Draft, source: Agent, target: Agent) -> bool:
    """Return whether both agents take part in stealing now, and the pool grants at all."""
    return draft.view.pool.accepts_grants and source.may_be_stolen_from and target.accepts_grants


def stealable_tasks(draft: Draft, source: str, target: Agent, count: int, *, unasked: bool = False) -> list[str]:
    """Return at most `count` tasks of the source that can move to the target, the latest assigned first.

    `unasked`: no operator chose the target, so what the target failed last stays where it is.
    """
    found: list[str] = []
    for task_id in reversed(draft.view.held_by(source)):
        if len(found) >= count:
            break
        task = draft.task(task_id)
        if unasked and task is not None and task.failed_last_by == target.agent_id:
            continue
        if why_not_stealable(draft, task, source, target) is None:
            found.append(task_id)
    return found


def plan(draft: Draft, command: PlanSteal) -> Decision:
    """Plan one move of a pass; records nothing if the loads have changed too much since the pass read them."""
    source, target = draft.view.agent(command.source), draft.view.agent(command.target)
    if source is None or target is None or not _stealing_allowed(draft, source, target):
        return draft.decided({})
    if not checks.may_receive_steal(draft, target):
        return draft.decided({})
    source_tasks = draft.view.tasks_held(source.agent_id)
    target_tasks = draft.view.tasks_held(target.agent_id)
    config = draft.rules.steal
    if not config.is_overloaded(source_tasks, draft.cpu_of(source)):
        return draft.decided({})
    if not config.is_underloaded(target_tasks, draft.cpu_of(target)):
        return draft.decided({})
    count = move_count(config, source_tasks, target_tasks, target.capacity)
    task_ids = stealable_tasks(draft, source.agent_id, target, min(count, command.most), unasked=True)
    if not task_ids:
        return draft.decided({})
    return _planned(draft, command.operation_id, source, target, task_ids, "load", score=command.score)


def plan_move(draft: Draft, command: PlanMove) -> Decision:
    """Plan a move of the policy balance; records nothing if none of its tasks can move any more."""
    source, target = draft.view.agent(command.source), draft.view.agent(command.target)
    if source is None or target is None or not _stealing_allowed(draft, source, target):
        return draft.decided({})
    if not checks.may_receive_steal(draft, target):
        return draft.decided({})
    room = target.capacity - draft.view.tasks_held(target.agent_id)
    able = [
        task_id
        for task_id in command.task_ids
        if why_not_stealable(draft, draft.task(task_id), source.agent_id, target) is None
    ]
    task_ids = able[: max(min(room, MAX_STEAL_TASKS), 0)]
    if not task_ids:
        return draft.decided({})
    return _planned(draft, command.operation_id, source, target, task_ids, "load", gain_s=command.gain_s)


def steal(draft: Draft, command: StealTasks) -> Decision:
    """Plan a move that an operator asked for, after the same checks as the stealer's."""
    source = checks.known_agent(draft, command.from_agent)
    target = checks.known_agent(draft, command.to_agent)
    named = [checks.known_task(draft, task_id) for task_id in dict.fromkeys(command.task_ids or ())]
    tasks = [checks.live_task(draft, task.task_id) for task in named]
    for task in tasks:
        reason = why_not_stealable(draft, task, source.agent_id, target)
        if reason is not None:
            raise checks.illegal_transition(task, task_ev.Stolen.name, f"it cannot be stolen: {reason}")
    checks.require_open_intake(draft, target)
    checks.require_not_lost(target)
    checks.require_steal_source(source)
    room = checks.require_room(draft, target)
    if len(tasks) > room:
        raise Refused(
            RefusalCode.AT_CAPACITY,
            f"agent {target.agent_id} has room for {room} leases, not for {len(tasks)}",
            agent_id=target.agent_id,
            capacity=target.capacity,
        )
    task_ids = [task.task_id for task in tasks]
    if not task_ids:
        held = draft.view.tasks_held(source.agent_id), draft.view.tasks_held(target.agent_id)
        wanted = command.count or max(steal_batch(draft.rules.steal, *held), 1)
        task_ids = stealable_tasks(draft, source.agent_id, target, min(wanted, room, MAX_STEAL_TASKS))
    if not task_ids:
        raise Refused(
            RefusalCode.ILLEGAL_TRANSITION,
            f"{source.agent_id} holds no task that can move to {target.agent_id}",
            state=TaskStatus.ASSIGNED.value,
            event=task_ev.Stolen.name,
            allowed=[],
        )
    return _planned(draft, draft.request.new_id, source, target, task_ids, command.reason or "asked for by an operator")


def _planned(
    draft: Draft,
    operation_id: str,
    source: Agent,
    target: Agent,
    task_ids: Sequence[str],
    reason: str,
    *,
    score: float | None = None,
    gain_s: float | None = None,
) -> Decision:
    draft.record_steal(
        operation_id,
        ev.Planned(
            from_agent=source.agent_id,
            to_agent=target.agent_id,
            task_ids=tuple(task_ids),
            reason=reason,
            source_tasks=draft.view.tasks_held(source.agent_id),
            target_tasks=draft.view.tasks_held(target.agent_id),
            source_cpu=draft.cpu_of(source),
            target_cpu=draft.cpu_of(target),
            score=score,
            gain_s=gain_s,
        ),
    )
    return draft.decided(follow_up=replace(draft.request, command=ExecuteSteal(operation_id)))


def execute(draft: Draft, command: ExecuteSteal) -> Decision:
    """Move those planned tasks that still can, in one append; the operation fails if none can."""
    operation = draft.view.steal(command.operation_id)
    if operation is None or operation.status is not StealStatus.PLANNED:
        return draft.decided({"operation_id": command.operation_id, "task_ids": []})
    steal_plan = operation.plan
    source, target = draft.view.agent(steal_plan.from_agent), draft.view.agent(steal_plan.to_agent)
    held_before = draft.view.tasks_held(steal_plan.from_agent), draft.view.tasks_held(steal_plan.to_agent)
    moving: list[str] = []
    asked_for = operation.planned_by != STEALER
    if (
        source is not None
        and target is not None
        and _stealing_allowed(draft, source, target)
        and (asked_for or checks.may_receive_steal(draft, target))
    ):
        room = max(target.capacity - held_before[1], 0)
        able = [
            task_id
            for task_id in steal_plan.task_ids
            if why_not_stealable(draft, draft.task(task_id), source.agent_id, target) is None
        ]
        moving = able[:room]
    skipped = tuple(task_id for task_id in steal_plan.task_ids if task_id not in set(moving))
    if not moving:
        draft.record_steal(
            command.operation_id, ev.StealFailed(reason="none of the tasks can move any more", skipped=skipped)
        )
        return draft.decided({"operation_id": command.operation_id, "task_ids": []})
    draft.record_steal(command.operation_id, ev.Executing(task_ids=tuple(moving)))
    for task_id in moving:
        _move(draft, task_id, steal_plan, command.operation_id)
    draft.record_steal(
        command.operation_id,
        ev.StealCompleted(
            moved=len(moving),
            skipped=skipped,
            source_tasks_before=held_before[0],
            source_tasks_after=held_before[0] - len(moving),
            target_tasks_before=held_before[1],
            target_tasks_after=held_before[1] + len(moving),
        ),
    )
    return draft.decided({"operation_id": command.operation_id, "task_ids": moving})


def _move(draft: Draft, task_id: str, steal_plan: ev.Planned, operation_id: str) -> None:
    task = checks.live_task(draft, task_id)
    expiry = first_expiry(task, draft.now)
    draft.record_task(
        task_id,
        task_ev.Stolen(
            token=draft.next_position,
            previous_token=task.lease.token if task.lease else 0,
            operation_id=operation_id,
            from_agent=steal_plan.from_agent,
            agent_id=steal_plan.to_agent,
            attempt=task.attempt + 1,
            lease_s=expiry.lease_s,
            grace_s=expiry.grace_s,
            expires_at=expiry.expires_at,
        ),
    )
