"""Replays the recorded outcome of a repeated command: a command whose id was seen before.

Every command's result follows from the events that it appended and from the tasks as they were right after them. So
only positions have to be remembered, and the answer after a restart equals the answer before it. What an agent holds
(the result of `register` and `heartbeat`) is a view, and is answered as it is now.

A repeat costs what its own events cost: what they do not say of the task is read from its outline, without the reports
that came before.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from domain.commands.operator_commands import Cancel, Requeue
from domain.commands.submit import SubmitMany
from domain.decisions import checks
from domain.decisions.submitting import Was, was_known
from domain.decisions.working import directive
from domain.draft import Draft
from domain.errors import RefusalCode
from domain.events import Entity
from domain.events import agent as agent_ev
from domain.events import steal as steal_ev
from domain.events import task as ev
from domain.lease_documents import lease_document, lease_terms_document, stale_task_directives
from domain.lifecycles import TASK
from domain.limits import MAX_AGENTS_FORGOTTEN
from domain.refusal import Refusal, Refused
from handlers.memory.agent_intakes import AgentIntakes
from handlers.memory.task_outlines import TaskOutlines
from handlers.service.filtered_commands import select
from handlers.writer.jobs import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.recorded import Recorded
    from domain.request import Request
    from domain.task import Lease, Task
    from handlers.memory.lookup import Lookup
    from handlers.memory.memory import Memory
    from handlers.service.query_service import QueryService
    from handlers.writer.pool_access import PoolAccess

_LEASE_VERBS = frozenset({"assign", "lease"})
_TERM_VERBS = frozenset({"start", "progress", "silence"})
HOLDINGS_VERBS = frozenset({"register", "heartbeat"})
"""Commands whose result is what the agent holds and is asked to do, as it is when the reply is made."""
_STATUS_AFTER = {event: TASK.leads_to(event) for _, event, _ in TASK.items()}
"""The status that an event leads to; None where it leads to several."""

MAX_AT_ONCE = 16
"""Repeats whose first outcome is read at once; others wait their turn, so that a storm holds up nothing else."""


def command_conflict(request: Request) -> Refusal:
    """Return the refusal of a command whose id came before with another body."""
    return Refusal(
        RefusalCode.COMMAND_CONFLICT,
        f"command_id {request.causation_id} came before with another body; nothing was done; choose a new id",
        {"command_id": request.causation_id},
    )


def _agent_result(records: Sequence[Recorded]) -> dict[str, Any]:
    agents = [recorded.entity_id for recorded in records if recorded.entity is Entity.AGENT]
    return {"agent_id": agents[0]} if agents else {}


def _deregister_result(records: Sequence[Recorded]) -> dict[str, Any]:
    return {"released": sum(r.event.released for r in records if isinstance(r.event, agent_ev.Deregistered))}


def _forget_result(records: Sequence[Recorded]) -> dict[str, Any]:
    return {"agent_ids": [r.entity_id for r in records], "more": len(records) == MAX_AGENTS_FORGOTTEN}


def _annotate_result(records: Sequence[Recorded]) -> dict[str, Any]:
    return {f"{records[0].entity.value}_id": records[0].entity_id}


def _retry_result(records: Sequence[Recorded]) -> dict[str, Any]:
    retry_of = [r.event.retry_of for r in records if isinstance(r.event, ev.Submitted)]
    return {"task_id": records[0].entity_id, "retry_of": retry_of[0], "was": "new"}


def _submit_result(records: Sequence[Recorded]) -> dict[str, Any]:
    return {"task_id": records[0].entity_id, "was": "new"}


_FROM_EVENTS: dict[str, Callable[[Sequence[Recorded]], dict[str, Any]]] = {
    **dict.fromkeys(("drain", "pause", "resume", "load"), _agent_result),
    "deregister": _deregister_result,
    "forget": _forget_result,
    "annotate": _annotate_result,
    "retry": _retry_result,
    "submit": _submit_result,
}
"""Results that follow from a command's events alone."""


class RepeatedCommands:
    """Replays recorded outcomes of one pool's commands."""

    def __init__(self, pool: PoolAccess, lookup: Lookup, queries: QueryService) -> None:
        self._pool = pool
        self._lookup = lookup
        self._outlines = TaskOutlines(lookup)
        self._intakes = AgentIntakes(lookup.reads)
        self._queries = queries
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)

    async def first_answer(self, request: Request, positions: tuple[int, ...]) -> Answer:
        """Return the answer that the command got the first time, or that its id was used for another one.

        What an agent holds now is not told to an earlier session: that is refused as any other command would be.
        Raises LogUnavailableError.
        """
        async with self._turns:
            records = await self._lookup.at(positions)
            last = records[-1] if records else None
            position = positions[-1]
            if records and records[0].digest not in {"", request.digest}:
                return Answer(position, refusal=command_conflict(request))
            if last is not None and all(isinstance(recorded.event, ev.LateProgress) for recorded in records):
                return Answer(position, refusal=await self._late_refusal(last))
            if request.verb not in HOLDINGS_VERBS:
                return Answer(position, records, await self._result(request, records), None)
        stale = await self._pool.read(partial(_stale_session, request))
        if stale is not None:
            return Answer(position, refusal=stale)
        agent_id = request.agent_id or ""
        view = await self._pool.read(lambda memory: self._holdings(request, memory, agent_id))
        return Answer(position, records, view, None)

    async def _late_refusal(self, recorded: Recorded) -> Refusal | None:
        task = await self._task_at(recorded.entity_id, recorded.position, [recorded])
        token = getattr(recorded.event, "token", 0)
        refused = checks.task_finished(task) if task.terminal else checks.stale_token(task, token)
        return refused.refusal

    async def _result(self, request: Request, records: list[Recorded]) -> dict[str, Any]:
        verb = request.verb
        if verb in _FROM_EVENTS:
            return _FROM_EVENTS[verb](records)
        command = request.command
        if isinstance(command, Cancel | Requeue) and command.filters:
            task_ids = list(dict.fromkeys(recorded.entity_id for recorded in records))
            _, left = await select(self._pool, command)
            return {"task_ids": task_ids, "count": len(task_ids), "more": left.fitting > 0}
        if verb == "submit_many":
            return await self._submit_many_result(request, records)
        if verb == "claim":
            granted = [r for r in records if isinstance(r.event, ev.Leased)]
            return {"leases": [await self._lease(r.entity_id, [r], r) for r in granted]}
        if verb == "steal":
            return await self._steal_result(records)
        return await self._task_result(request, records)

    async def _submit_many_result(self, request: Request, records: list[Recorded]) -> dict[str, Any]:
        """Return what was made of each task: the new ones are in the events, the others are as they were then."""
        new = [recorded.entity_id for recorded in records]
        command = request.command
        wanted = [each.task_id for each in command.tasks] if isinstance(command, SubmitMany) else list[str | None](new)
        named = {each for each in wanted if each is not None}
        made = iter(each for each in new if each not in named)
        tasks, left = [], set(new)
        for each in wanted:
            task_id = each if each is not None else next(made)
            was: Was = "new"
            if task_id in left:
                left.discard(task_id)
            else:
                was = was_known(await self._task_at(task_id, records[-1].position, []))
            tasks.append({"task_id": task_id, "was": was})
        return {"tasks": tasks}

    def _holdings(self, request: Request, memory: Memory, agent_id: str) -> dict[str, Any]:
        """Return what an agent holds now, and which of the tasks that it vouches for are to be stopped."""
        holdings = self._queries.held_by(agent_id)
        vouched_for = getattr(request.command, "tasks", None) or ()
        pairs = ((each.task_id, each.token) for each in vouched_for)
        stops = stale_task_directives(pairs, memory.state.task, agent_id)
        directives = [*stops, *holdings["directives"]]
        return self._queries.with_directives({**holdings, "directives": directives}, agent_id)

    async def _task_result(self, request: Request, records: list[Recorded]) -> dict[str, Any]:
        task_id = await self._own_task(request, records)
        last = records[-1]
        own = [recorded for recorded in records if recorded.entity_id == task_id and recorded.entity is Entity.TASK]
        if request.verb in _LEASE_VERBS:
            return await self._lease(task_id, own, last)
        if request.verb in _TERM_VERBS:
            terms = await self._terms(request, task_id, own, last)
            if terms is not None:
                return terms
        result: dict[str, Any] = {"task_id": task_id, "status": await self._status(task_id, own, last)}
        if request.verb != "cancel":
            result["attempt"] = await self._attempt(task_id, own, last)
        return result

    async def _terms(
        self, request: Request, task_id: str, own: list[Recorded], last: Recorded
    ) -> dict[str, Any] | None:
        """Return what a holder is told of its lease; None if the task is not held."""
        for recorded in own:
            event = recorded.event
            if isinstance(event, ev.Progressed):
                return lease_terms_document(event.expires_at, event.grace_s, event.directive)
        task = _required(await self._outlines.held_at(task_id, last.position, own), task_id, last.position)
        lease = task.lease
        if lease is None:
            return None
        return lease_terms_document(lease.expires_at, lease.grace_s, await self._directive(request, task, lease, last))

    async def _directive(self, request: Request, task: Task, lease: Lease, recorded: Recorded) -> ev.Directive:
        """Return the directive that the holder got on the task; only reports have it on record."""
        intake = await self._intakes.at(lease.agent_id, recorded.position)
        draft = Draft(self._pool.state, request, recorded.time, self._pool.rules)
        return directive(draft, intake, task, lease)

    async def _status(self, task_id: str, own: list[Recorded], last: Recorded) -> str:
        """Return the task's status after the command: mostly its last event leads to one only."""
        status = _STATUS_AFTER.get(own[-1].name) if own else None
        if status is None:
            status = (await self._task_at(task_id, last.position, own)).status
        return status.value

    async def _attempt(self, task_id: str, own: list[Recorded], last: Recorded) -> int:
        """Return the task's attempt after the command: of its own events, or of the grant that they name."""
        for recorded in reversed(own):
            if isinstance(recorded.event, ev.Requeued | ev.Grant):
                return recorded.event.attempt
        token = next((t for recorded in own if (t := getattr(recorded.event, "token", None)) is not None), None)
        late = any(isinstance(recorded.event, ev.Completed) and recorded.event.late for recorded in own)
        if token is not None and not late:
            grant = await self._lookup.grant(task_id, token)
            if grant is not None and isinstance(grant.event, ev.Grant):
                return grant.event.attempt
        return (await self._task_at(task_id, last.position, own)).attempt

    async def _steal_result(self, records: list[Recorded]) -> dict[str, Any]:
        """Return what moved, also if the service stopped between the plan and its execution."""
        planned = next(r for r in records if isinstance(r.event, steal_ev.Planned))
        if not any(isinstance(r.event, steal_ev.Executing | steal_ev.StealFailed) for r in records):
            records = await self._lookup.records((Entity.STEAL, planned.entity_id))
        moved = [r.event.task_ids for r in records if isinstance(r.event, steal_ev.Executing)]
        return {"operation_id": planned.entity_id, "task_ids": list(moved[0]) if moved else []}

    async def _lease(self, task_id: str, own: list[Recorded], last: Recorded) -> dict[str, Any]:
        task = _required(await self._outlines.held_at(task_id, last.position, own), task_id, last.position)
        return lease_document(task, last.time)

    async def _own_task(self, request: Request, records: list[Recorded]) -> str:
        """Return the task that the command was about, from its events: a repeat may wrongly name another.

        A task that was only renewed on the side is not it. Where nothing but renewals was written, the repeat's own
        task counts if its agent held that.
        """
        tasks = [recorded for recorded in records if recorded.entity is Entity.TASK]
        own = [recorded.entity_id for recorded in tasks if not isinstance(recorded.event, ev.Renewed)]
        if own:
            return own[0]
        named = getattr(request.command, "task_id", None)
        if isinstance(named, str):
            renewed = [recorded for recorded in tasks if recorded.entity_id == named]
            task = await self._outlines.at(named, records[-1].position, renewed)
            if task is not None and task.lease is not None and task.lease.agent_id == request.agent_id:
                return named
        return tasks[0].entity_id

    async def _task_at(self, task_id: str, position: int, own: list[Recorded]) -> Task:
        """Return a task as its outline tells at a position."""
        return _required(await self._outlines.at(task_id, position, own), task_id, position)


def _required(task: Task | None, task_id: str, position: int) -> Task:
    """Return a task that was looked up; raises LookupError if there was none."""
    if task is None:
        msg = f"the log has no task {task_id} at position {position}"
        raise LookupError(msg)
    return task


def _stale_session(request: Request, memory: Memory) -> Refusal | None:
    """Return the refusal of a repeat by a session of its agent that has ended meanwhile, else None."""
    agent = memory.state.agent(request.agent_id or "")
    try:
        if agent is not None:
            checks.require_current_session(agent, getattr(request.command, "session", None))
    except Refused as refused:
        return refused.refusal
    return None
