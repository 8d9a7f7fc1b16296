"""Answering a command whose id was seen before: the first outcome, rendered from its events again.

Every command's result can be told from the events that it appended and the tasks as they were right after them, so
nothing but positions has to be remembered, and the answer after a restart is the answer before it. What an agent
holds (the result of `register` and `heartbeat`) is a view, and is told as it is now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.decisions import checks
from domain.decisions.working import directive
from domain.draft import Draft
from domain.events import Entity
from domain.events import agent as agent_ev
from domain.events import steal as steal_ev
from domain.events import task as ev
from domain.lease_documents import lease_document
from domain.lifecycles import IntakeStatus
from domain.timestamps import format_timestamp
from handlers.memory.lookup import fold_agent, fold_task
from handlers.writer.jobs import Answer

if TYPE_CHECKING:
    from domain.draft import Refusal, Request
    from domain.recorded import Recorded
    from domain.task import Lease, Task
    from handlers.memory.lookup import Lookup
    from handlers.service.query_service import QueryService
    from handlers.writer.writer import Writer

_LEASE_VERBS = frozenset({"assign", "lease"})
_TERM_VERBS = frozenset({"start", "progress", "silence"})
_INTAKE_VERBS = frozenset({"drain", "pause", "resume"})
_VIEW_VERBS = frozenset({"register", "heartbeat"})


class Repeats:
    """Tells first outcomes again."""

    def __init__(self, writer: Writer, lookup: Lookup, queries: QueryService) -> None:
        self._writer = writer
        self._lookup = lookup
        self._queries = queries

    async def first_answer(self, request: Request, positions: tuple[int, ...]) -> Answer:
        """Return what the command was told the first time. Raises LogUnavailableError."""
        records = await self._lookup.at(positions)
        last = records[-1] if records else None
        position = positions[-1]
        if last is not None and all(isinstance(recorded.event, ev.LateProgress) for recorded in records):
            return Answer(position, (), None, await self._late_refusal(last))
        return Answer(position, records, await self._result(request, records), None)

    async def _late_refusal(self, recorded: Recorded) -> Refusal | None:
        task = await self._task_at(recorded.entity_id, recorded.position)
        token = getattr(recorded.event, "token", 0)
        refused = checks.task_finished(task) if task.terminal else checks.stale_token(task, token)
        return refused.refusal

    async def _result(self, request: Request, records: list[Recorded]) -> dict[str, Any]:
        verb = request.verb
        if verb in _VIEW_VERBS:
            agent_id = request.agent_id or ""
            queries = self._queries
            return await self._writer.at_boundary(lambda _: queries.directed(queries.holds(agent_id), agent_id))
        if verb == "deregister":
            return {"released": sum(r.event.released for r in records if isinstance(r.event, agent_ev.Deregistered))}
        if verb == "claim":
            granted = [r for r in records if isinstance(r.event, ev.Leased)]
            return {"leases": [await self._lease(r.entity_id, r) for r in granted]}
        if verb == "steal":
            return await self._steal_result(records)
        if verb in _INTAKE_VERBS:
            agents = [r.entity_id for r in records if r.entity is Entity.AGENT]
            return {"agent_id": agents[0]} if agents else {}
        if verb == "submit":
            return {"task_id": records[0].entity_id}
        return await self._task_result(request, records)

    async def _task_result(self, request: Request, records: list[Recorded]) -> dict[str, Any]:
        task_id = await self._own_task(request, records)
        last = records[-1]
        if request.verb in _LEASE_VERBS:
            return await self._lease(task_id, last)
        own = [recorded for recorded in records if recorded.entity_id == task_id]
        task = await self._task_at(task_id, last.position)
        if request.verb in _TERM_VERBS and task.lease is not None:
            advice = [r.event.directive for r in own if isinstance(r.event, ev.Progressed)]
            return {
                "expires_at": format_timestamp(task.lease.expires_at),
                "grace_s": task.lease.grace_s,
                "directive": advice[0] if advice else await self._advice(request, task, task.lease, last),
            }
        result: dict[str, Any] = {"task_id": task_id, "status": task.status.value}
        if request.verb != "cancel":
            result["attempt"] = task.attempt
        return result

    async def _advice(self, request: Request, task: Task, lease: Lease, recorded: Recorded) -> str:
        """Return what the holder was asked to do with the task; only reports have it on record."""
        records = await self._lookup.records((Entity.AGENT, lease.agent_id))
        agent = fold_agent(records, until=recorded.position)
        draft = Draft(self._writer.memory.state, request, recorded.time, self._writer.rules)
        return directive(draft, agent.intake if agent is not None else IntakeStatus.OPEN, task, lease)

    async def _steal_result(self, records: list[Recorded]) -> dict[str, Any]:
        """Return what moved; if the service stopped between the plan and its execution, what moved after all."""
        planned = next(r for r in records if isinstance(r.event, steal_ev.Planned))
        if not any(isinstance(r.event, steal_ev.Executing | steal_ev.StealFailed) for r in records):
            records = await self._lookup.records((Entity.STEAL, planned.entity_id))
        moved = [r.event.task_ids for r in records if isinstance(r.event, steal_ev.Executing)]
        return {"operation_id": planned.entity_id, "task_ids": list(moved[0]) if moved else []}

    async def _lease(self, task_id: str, recorded: Recorded) -> dict[str, Any]:
        task = await self._task_at(task_id, recorded.position)
        return lease_document(task, recorded.time)

    async def _own_task(self, request: Request, records: list[Recorded]) -> str:
        """Return the task that the command was about, as its events tell: a repeat may name another, for nothing.

        What was renewed on the side is not it. Where nothing but renewals was written, the repeat is believed if its
        agent held the task that it names.
        """
        tasks = [recorded for recorded in records if recorded.entity is Entity.TASK]
        own = [recorded.entity_id for recorded in tasks if not isinstance(recorded.event, ev.Renewed)]
        if own:
            return own[0]
        named = getattr(request.command, "task_id", None)
        if isinstance(named, str):
            task = fold_task(await self._lookup.records((Entity.TASK, named)), until=records[-1].position)
            if task is not None and task.lease is not None and task.lease.agent_id == request.agent_id:
                return named
        return tasks[0].entity_id

    async def _task_at(self, task_id: str, position: int) -> Task:
        task = fold_task(await self._lookup.records((Entity.TASK, task_id)), until=position)
        if task is None:
            msg = f"the log has no task {task_id} at position {position}"
            raise LookupError(msg)
        return task
