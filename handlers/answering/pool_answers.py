"""The answers to one pool's queries, from its memory; what has left memory is looked up in the log."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from domain.decisions import checks
from domain.errors import RefusalCode
from domain.events import Entity
from domain.refusal import Refusal, Refused
from domain.task import Task
from domain.timestamps import seconds_between
from handlers.answering.ended_tasks import EndedTasks
from handlers.answering.large_scans import LARGE_POOL, scan
from projections.queries.answers import answer
from projections.queries.backlog_view import kept_backlog
from projections.queries.cursors import ended_before, ended_cursor, named_row, unknown_cursor
from projections.queries.documents import task_document
from projections.queries.pool_copy import copy_of
from projections.queries.questions import (
    AgentsQuery,
    BacklogQuery,
    ExplainQuery,
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
    from datetime import datetime

    from handlers.memory.lookup import Lookup
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, ReadableLog
    from projections.queries.pool_copy import PoolCopy
    from projections.reports.explain import Explanation
    from projections.state.pool_state import PoolState

_T = TypeVar("_T")
MAX_LOOK_UPS = 16
"""Tasks that are looked up in the log at once for `query.task`; others wait their turn."""

MAX_WAITING_VIEWS = 1_000
"""Queries for views that may wait for each other."""
VIEW_TIMEOUT_S = 5.0
"""How long such a query waits for those before it: its caller does not wait much longer."""
TOO_MANY_VIEWS = Refusal(RefusalCode.OVERLOADED, "too many views are asked for; try again later", {})


class Answered(NamedTuple):
    """The answer to a query: a result or a refusal, true at a position of the log."""

    position: int
    result: dict[str, Any] | None = None
    refusal: Refusal | None = None


class PoolReads(Protocol):
    """What may be read of a pool."""

    @property
    def state(self) -> PoolState:
        """The state as it is now, tentative changes included."""
        ...

    @property
    def now(self) -> datetime:
        """The pool's time."""
        ...

    def heard_at(self, agent_id: str) -> datetime | None:
        """Return when the agent was last heard, or else did last what is on record; None for an unknown agent."""
        ...

    async def read(self, read: Callable[[Memory], _T]) -> _T:
        """Call `read` when all of the state is acknowledged, and return what it returns; it must not wait.

        Raises LogUnavailableError.
        """
        ...


class PoolAnswers:
    """Answers one pool's queries, all but `query.health`: that is about the service."""

    def __init__(
        self,
        pool: PoolReads,
        log: ReadableLog,
        lookup: Lookup,
        clock: Clock,
        more_statistics: Callable[[], dict[str, Any]],
    ) -> None:
        """`more_statistics` returns what is shown with `query.statistics` beside what the log tells."""
        self._pool = pool
        self._lookup = lookup
        self._clock = clock
        self._more_statistics = more_statistics
        self._ended = EndedTasks(log, lookup)
        self._one_view = asyncio.Lock()
        self._one_page_of_the_log = asyncio.Lock()
        self._look_ups = asyncio.Semaphore(MAX_LOOK_UPS)
        self._waiting_views = 0

    async def answer(self, query: Query) -> Answered:
        """Return the answer to a query, true at its position. Raises LogUnavailableError."""
        if isinstance(query, TaskQuery):
            return await self._task(query)
        if isinstance(query, ExplainQuery):
            return await self._explain(query)
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
            return Answered(self._pool.state.committed_position, refusal=refused.refusal)
        finally:
            self._waiting_views -= 1

    async def _check_cursor(self, query: Page) -> None:
        """Raise Refused if a page is asked for behind a name that the pool never had."""
        key = None if query.after is None else named_row(query.view, query.after)
        if key is not None and not self._pool.state.knows(key) and not await self._lookup.was_there(key):
            raise unknown_cursor(f"names no {key[0].value} that this pool ever had")

    async def _tasks(self, query: TasksQuery) -> Answered:
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

    async def _page_of_the_log(self, query: TasksQuery, before: int) -> Answered:
        asked_at = self._clock.steady()
        async with self._one_page_of_the_log:
            if seconds_between(asked_at, self._clock.steady()) >= VIEW_TIMEOUT_S:
                return self._too_many_views()
            position = self._pool.state.committed_position
            page = await self._ended.page(query, min(before, position + 1))
        return Answered(position, result=page)

    async def _view(self, query: Query) -> Answered:
        asked_at = self._clock.steady()
        async with self._one_view:
            if seconds_between(asked_at, self._clock.steady()) >= VIEW_TIMEOUT_S:
                return self._too_many_views()
            read = await self._pool.read(partial(self._kept_or_copied, query))
            answered = read if isinstance(read, Answered) else await _computed(query, read)
            # One after the other, with a turn of the event loop in between: a page takes milliseconds, and a crowd of
            # queries must not delay commands, the sweeper or the broker's pings.
            await asyncio.sleep(0)
        return answered

    def _too_many_views(self) -> Answered:
        return Answered(self._pool.state.committed_position, refusal=TOO_MANY_VIEWS)

    async def _explain(self, query: ExplainQuery) -> Answered:
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
                return Answered(position, refusal=checks.unknown_task(query.task_id).refusal)
            state = self._pool.state
            explanation = explain(task, state.pool, state.rules, self._clock.now())
        return Answered(position, result=explanation.as_json())

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

    async def _task(self, query: TaskQuery) -> Answered:
        position, task = await self._found(query.task_id)
        if task is None:
            return Answered(position, refusal=checks.unknown_task(query.task_id).refusal)
        # What was looked up is of a moment after the read.
        return Answered(max(position, task.position), result=task_document(task, self._clock.now()))

    def _kept_or_copied(self, query: Query, memory: Memory) -> Answered | PoolCopy:
        """Return the answer if it is read off indexes, else a copy to compute it from."""
        state, now = memory.state, self._pool.now
        totals = memory.statistics.totals()
        if isinstance(query, StatisticsQuery):
            return Answered(state.position, result=kept_statistics(state, totals, now) | self._more_statistics())
        try:
            if isinstance(query, BacklogQuery):
                return Answered(state.position, result=kept_backlog(query, state, now))
            if isinstance(query, TasksQuery) and not query.filters:
                return Answered(state.position, result=kept_tasks(query, state))
            return copy_of(state, now, totals, self._pool.heard_at, _tasks_for(query, state))
        except Refused as refused:
            return Answered(state.position, refusal=refused.refusal)


async def _computed(query: Query, copy: PoolCopy) -> Answered:
    try:
        return Answered(copy.position, result=await scan(len(copy.tasks), partial(answer, query, copy)))
    except Refused as refused:
        return Answered(copy.position, refusal=refused.refusal)


def _tasks_for(query: Query, state: PoolState) -> dict[str, Task] | None:
    """Return the live tasks that a query reads; None: all of them."""
    if isinstance(query, TasksQuery):
        return None
    if not isinstance(query, LeasesQuery | AgentsQuery):
        return {}
    held = (task_id for agent_id in state.workloads.holders() for task_id in state.held_by(agent_id))
    return {task_id: state.tasks[task_id] for task_id in held}
