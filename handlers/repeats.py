"""Answering a command whose id was seen before: the first outcome, rendered from its events again.

Every command's result can be told from the events that it appended and the tasks as they were right after them, so
nothing but positions has to be remembered, and the answer after a restart is the answer before it. What an agent
holds (the result of `register` and `heartbeat`) is a view, and is told as it is now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.decisions import checks
from domain.events import Entity
from domain.events import agent as agent_ev
from domain.events import steal as steal_ev
from domain.events import task as ev
from domain.terms import lease_document
from domain.timestamps import format_timestamp
from handlers.jobs import Answer
from handlers.lookup import fold_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.draft import Refusal, Request
    from domain.recorded import Recorded
    from domain.task import Task
    from handlers.lookup import Lookup

_LEASE_VERBS = frozenset({"assign", "lease"})
_TERM_VERBS = frozenset({"start", "progress", "silence"})
_INTAKE_VERBS = frozenset({"drain", "pause", "resume"})
_VIEW_VERBS = frozenset({"register", "heartbeat"})


async def first_answer(
    lookup: Lookup, request: Request, positions: tuple[int, ...], holds: Callable[[str], dict[str, Any]]
) -> Answer:
    """Return what the command was told the first time. Raises LogUnavailableError.

    `holds` tells what an agent holds now.
    """
    records = await lookup.at(positions)
    last = records[-1] if records else None
    position = positions[-1]
    if last is not None and all(isinstance(recorded.event, ev.LateProgress) for recorded in records):
        return Answer(position, (), None, await _late_refusal(lookup, last))
    return Answer(position, records, await _result(lookup, request, records, holds), None)


async def _late_refusal(lookup: Lookup, recorded: Recorded) -> Refusal | None:
    task = await _task_at(lookup, recorded.entity_id, recorded.position)
    token = getattr(recorded.event, "token", 0)
    refused = checks.finished(task) if task.terminal else checks.stale(task, token)
    return refused.refusal


async def _result(
    lookup: Lookup, request: Request, records: list[Recorded], holds: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    verb = request.verb
    if verb in _VIEW_VERBS:
        return holds(request.agent_id or "")
    if verb == "deregister":
        return {"released": sum(r.event.released for r in records if isinstance(r.event, agent_ev.Deregistered))}
    if verb == "claim":
        granted = [r for r in records if isinstance(r.event, ev.Leased)]
        return {"leases": [await _lease(lookup, r.entity_id, r) for r in granted]}
    if verb == "steal":
        return _steal_result(records)
    if verb in _INTAKE_VERBS:
        agents = [r.entity_id for r in records if r.entity is Entity.AGENT]
        return {"agent_id": agents[0]} if agents else {}
    if verb == "submit":
        return {"task_id": records[0].entity_id}
    return await _task_result(lookup, request, records)


async def _task_result(lookup: Lookup, request: Request, records: list[Recorded]) -> dict[str, Any]:
    task_id = getattr(request.command, "task_id", None) or records[0].entity_id
    last = records[-1]
    if request.verb in _LEASE_VERBS:
        return await _lease(lookup, task_id, last)
    own = [recorded for recorded in records if recorded.entity_id == task_id]
    task = await _task_at(lookup, task_id, last.position)
    if request.verb in _TERM_VERBS and task.lease is not None:
        advice = [r.event.directive for r in own if isinstance(r.event, ev.Progressed)]
        return {
            "expires_at": format_timestamp(task.lease.expires_at),
            "grace_s": task.lease.grace_s,
            "directive": advice[0] if advice else "continue",
        }
    result: dict[str, Any] = {"task_id": task_id, "status": task.status.value}
    if request.verb != "cancel":
        result["attempt"] = task.attempt
    return result


def _steal_result(records: list[Recorded]) -> dict[str, Any]:
    planned = next(r for r in records if isinstance(r.event, steal_ev.Planned))
    plan = planned.event
    moved = [r.entity_id for r in records if isinstance(r.event, ev.Stolen)]
    over = any(isinstance(r.event, steal_ev.StealCompleted | steal_ev.StealFailed) for r in records)
    task_ids = moved if over or not isinstance(plan, steal_ev.Planned) else list(plan.task_ids)
    return {"operation_id": planned.entity_id, "task_ids": task_ids}


async def _lease(lookup: Lookup, task_id: str, recorded: Recorded) -> dict[str, Any]:
    task = await _task_at(lookup, task_id, recorded.position)
    return lease_document(task, recorded.time)


async def _task_at(lookup: Lookup, task_id: str, position: int) -> Task:
    task = fold_task(await lookup.records((Entity.TASK, task_id)), until=position)
    if task is None:
        msg = f"the log has no task {task_id} at position {position}"
        raise LookupError(msg)
    return task
