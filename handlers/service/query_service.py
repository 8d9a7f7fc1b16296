"""Queries: answered from acknowledged state, and computed beside the writer on a copy of it."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import pydantic_core

from domain.decisions import checks
from domain.errors import RefusalCode
from domain.events import Entity
from domain.lease_documents import holdings_document
from domain.refusal import Refusal, Refused
from domain.task import Task
from domain.timestamps import format_timestamp, seconds_between
from handlers.ports import LogUnavailableError
from handlers.service.ended_tasks import EndedTasks
from handlers.service.large_scans import LARGE_POOL, scan
from handlers.writer.jobs import Answer
from projections.queries.answers import answer
from projections.queries.backlog_view import kept_backlog
from projections.queries.cursors import ended_before, ended_cursor, named_row, unknown_cursor
from projections.queries.documents import tail_loss_document, task_document
from projections.queries.pool_copy import copy_of
from projections.queries.questions import (
    AgentsQuery,
    BacklogQuery,
    ExplainQuery,
    HealthQuery,
    LeasesQuery,
    Page,
    Query,
    StatisticsQuery,
    TaskQuery,
    TasksQuery,
)
from projections.queries.statistics_view import kept_statistics
from projections.queries.tasks_view import kept_tasks
from projections.reports.explain import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.memory.lookup import Lookup
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, ReadableLog
    from handlers.writer.pool_access import PoolAccess
    from projections.queries.pool_copy import PoolCopy
    from projections.reports.explain import Explanation
    from projections.state.pool_state import PoolState

MAX_LOOK_UPS = 16
"""Tasks that are looked up in the log at once for `query.task`; others wait their turn."""

MAX_WAITING_VIEWS = 1_000
"""Queries for views that may wait for each other."""
VIEW_TIMEOUT_S = 5.0
"""How long such a query waits for those before it: its caller does not wait much longer."""
TOO_MANY_VIEWS = Refusal(RefusalCode.OVERLOADED, "too many views are asked for; try again later", {})

MAX_DIRECTIVES_BYTES = 512 * 1024
"""Bytes of the directives in one reply; leases and events need the rest of it."""
_FEW_DIRECTIVES = 50
"""So few are never too large."""


class Health(NamedTuple):
    """What a service says of itself in `query.health`."""

    leader: str
    guarantees: dict[str, Any]
    software: str


class QueryService:
    """Answers one pool's queries."""

    def __init__(
        self,
        pool: PoolAccess,
        log: ReadableLog,
        lookup: Lookup,
        clock: Clock,
        health: Callable[[], Health],
        findings: Callable[[], dict[str, int]],
    ) -> None:
        """`findings`: how often the sweeper came to each finding since the start."""
        self._pool = pool
        self._log = log
        self._lookup = lookup
        self._clock = clock
        self._health = health
        self._findings = findings
        self._ended = EndedTasks(log, lookup)
        self._one_view = asyncio.Lock()
        self._one_page_of_the_log = asyncio.Lock()
        self._look_ups = asyncio.Semaphore(MAX_LOOK_UPS)
        self._waiting_views = 0

    async def answer(self, query: Query) -> Answer:
        """Return the answer to a query, true at its position. Raises LogUnavailableError."""
        if isinstance(query, TaskQuery):
            return await self._task(query)
        if isinstance(query, ExplainQuery):
            return await self._explain(query)
        if isinstance(query, HealthQuery):
            return await self._health_of_pool()
        if self._waiting_views >= MAX_WAITING_VIEWS:
            return self._too_many_views()
        self._waiting_views += 1
        try:
            if isinstance(query, Page):
                await self._check_cursor(query)
            if isinstance(query, TasksQuery):
                return await self._tasks(query)
            return await self._view(query)
        except Refused as refused:
            return Answer(self._pool.state.committed_position, refusal=refused.refusal)
        finally:
            self._waiting_views -= 1

    async def _check_cursor(self, query: Page) -> None:
        """Raise Refused if a page is asked for behind a name that the pool never had."""
        key = None if query.after is None else named_row(query.view, query.after)
        if key is not None and not self._pool.state.knows(key) and not await self._lookup.was_there(key):
            raise unknown_cursor(f"names no {key[0].value} that this pool ever had")

    async def _tasks(self, query: TasksQuery) -> Answer:
        """Return a page of the tasks in memory; behind the last of these the log leads on to those that left it."""
        before = ended_before(query.after)
        if before is not None:
            return await self._page_of_the_log(query, before)
        answered = await self._view(query)
        result, ended_through = answered.result, self._pool.state.ended.ended_through
        if result is None or result["next"] is not None or not ended_through or not query.lists_ended:
            return answered
        if not result["tasks"]:
            return await self._page_of_the_log(query, ended_through + 1)
        return answered._replace(result={**result, "next": ended_cursor(ended_through + 1)})

    async def _page_of_the_log(self, query: TasksQuery, before: int) -> Answer:
        asked_at = self._clock.steady()
        async with self._one_page_of_the_log:
            if seconds_between(asked_at, self._clock.steady()) >= VIEW_TIMEOUT_S:
                return self._too_many_views()
            position = self._pool.state.committed_position
            page = await self._ended.page(query, min(before, position + 1))
        return Answer(position, result=page)

    async def _view(self, query: Query) -> Answer:
        asked_at = self._clock.steady()
        async with self._one_view:
            if seconds_between(asked_at, self._clock.steady()) >= VIEW_TIMEOUT_S:
                return self._too_many_views()
            read = await self._pool.read(partial(self._kept_or_copied, query))
            answered = read if isinstance(read, Answer) else await _computed(query, read)
            # One after the other, with a turn of the event loop in between: a page takes milliseconds, and a crowd of
            # queries must not delay commands, the sweeper or the broker's pings.
            await asyncio.sleep(0)
        return answered

    def _too_many_views(self) -> Answer:
        return Answer(self._pool.state.committed_position, refusal=TOO_MANY_VIEWS)

    def held_by(self, agent_id: str) -> dict[str, Any]:
        """Return what an agent holds and is asked to do now. All of the state must be acknowledged."""
        state = self._pool.state
        return holdings_document(state.agent(agent_id), map(state.task, state.held_by(agent_id)))

    def with_directives(self, result: dict[str, Any], agent_id: str) -> dict[str, Any]:
        """Return what an agent holds with all its directives, those to stop first.

        They take at most `MAX_DIRECTIVES_BYTES`; the others follow when the first ones are obeyed.
        """
        stops = self._pool.memory.directives.stops(agent_id)
        told = {stop["task_id"] for stop in stops}
        own = result["directives"]
        directives = stops + [each for each in own if each["do"] != "stop" or each["task_id"] not in told]
        if len(directives) > _FEW_DIRECTIVES:
            sizes = accumulate(len(pydantic_core.to_json(each)) for each in directives)
            directives = [each for each, size in zip(directives, sizes, strict=True) if size <= MAX_DIRECTIVES_BYTES]
        return {**result, "directives": directives}

    async def _explain(self, query: ExplainQuery) -> Answer:
        """Explain a task; who could claim it is left out of a large pool, where it would hold up the writer."""

        def read(memory: Memory) -> tuple[int, Explanation | None]:
            state = memory.state
            task = state.task(query.task_id)
            if task is None or task.terminal:
                return state.position, None
            whole = state if len(state.tasks) <= LARGE_POOL else None
            return state.position, explain(task, state.pool, state.rules, self._pool.now, state=whole)

        position, explanation = await self._pool.read(read)
        if explanation is None:
            position, task = await self._found(query.task_id)
            if task is None:
                return Answer(position, refusal=checks.unknown_task(query.task_id).refusal)
            state = self._pool.state
            explanation = explain(task, state.pool, state.rules, self._clock.now())
        return Answer(position, result=explanation.as_json())

    async def _found(self, task_id: str) -> tuple[int, Task | None]:
        """Return a task, from the log if it has left memory, and a position at which it was so."""

        def read(memory: Memory) -> tuple[int, Task | None]:
            return memory.state.position, memory.state.task(task_id)

        position, task = await self._pool.read(read)
        if task is None:
            async with self._look_ups:
                found = await self._lookup.entity((Entity.TASK, task_id))
            task = found if isinstance(found, Task) else None
        return position, task

    async def _task(self, query: TaskQuery) -> Answer:
        position, task = await self._found(query.task_id)
        if task is None:
            return Answer(position, refusal=checks.unknown_task(query.task_id).refusal)
        # What was looked up is of a moment after the read.
        return Answer(max(position, task.position), result=task_document(task, self._clock.now()))

    def _kept_or_copied(self, query: Query, memory: Memory) -> Answer | PoolCopy:
        """Return the answer if it is read off indexes, else a copy to compute it from."""
        state, now = memory.state, self._pool.now
        totals = memory.statistics.totals()
        if isinstance(query, StatisticsQuery):
            return Answer(state.position, result=kept_statistics(state, totals, now) | {"sweeper": self._findings()})
        try:
            if isinstance(query, BacklogQuery):
                return Answer(state.position, result=kept_backlog(query, state, now))
            if isinstance(query, TasksQuery) and not query.filters:
                return Answer(state.position, result=kept_tasks(query, state))
            return copy_of(state, now, totals, self._pool.heard_at, _tasks_for(query, state))
        except Refused as refused:
            return Answer(state.position, refusal=refused.refusal)

    async def _health_of_pool(self) -> Answer:
        try:
            end = await self._log.last_position()
            return await self._pool.read(lambda memory: self._health_answer(memory, end))
        except LogUnavailableError as error:
            return self._unhealthy(error)

    def _unhealthy(self, error: LogUnavailableError) -> Answer:
        """Refuse, with what is known without the broker: health matters most when the broker does not answer."""
        position = self._pool.state.committed_position
        waited_s = self._pool.unanswered_s
        message = (
            f"the broker has not confirmed an append for {waited_s:.0f} s; position {position} is the last that it"
            " confirmed; look at its own log: a full disk is said only there"
            if waited_s
            else f"the broker did not answer: {error}"
        )
        known = {"leader": self._health().leader, "position": position, "unconfirmed_s": round(waited_s, 1)}
        return Answer(position, refusal=Refusal(RefusalCode.UNAVAILABLE, message, known))

    def _health_answer(self, memory: Memory, end: int) -> Answer:
        health = self._health()
        state = memory.state
        pool = state.pool
        result = {
            "leader": health.leader,
            "leading": pool.leader == health.leader,
            "position": state.position,
            "lag": max(end - state.position, 0),
            "live_tasks": len(state.tasks),
            "agents": len(state.agents),
            "queued": len(state.indexes.backlog),
            "waiting_claims": self._pool.waiting_claims,
            "queued_commands": self._pool.queued_commands,
            "intake": pool.intake.value,
            "not_before": format_timestamp(pool.not_before) if pool.not_before else None,
            "unreadable_events": memory.unreadable_count,
            "unreadable": [unreadable._asdict() for unreadable in memory.unreadable],
            "tail_losses": [tail_loss_document(each) for each in pool.tail_losses],
            "last_event_at": format_timestamp(state.last_time),
            "clock_behind_s": max(seconds_between(self._clock.now(), state.last_time), 0.0),
            "guarantees": health.guarantees,
            "software": health.software,
        }
        return Answer(state.position, result=result)


async def _computed(query: Query, copy: PoolCopy) -> Answer:
    try:
        return Answer(copy.position, result=await scan(len(copy.tasks), partial(answer, query, copy)))
    except Refused as refused:
        return Answer(copy.position, refusal=refused.refusal)


def _tasks_for(query: Query, state: PoolState) -> dict[str, Task] | None:
    """Return the live tasks that a query reads; None: all of them."""
    if isinstance(query, TasksQuery):
        return None
    if not isinstance(query, LeasesQuery | AgentsQuery):
        return {}
    held = (task_id for agent_id in state.workloads.holders() for task_id in state.held_by(agent_id))
    return {task_id: state.tasks[task_id] for task_id in held}
