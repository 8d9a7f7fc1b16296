"""Queries: answered from acknowledged state, and computed beside the writer on a snapshot."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import pydantic_core

from domain.draft import Refusal
from domain.errors import RefusalCode
from domain.events import Entity
from domain.lease_terms import holding_document
from domain.lifecycles import IntakeStatus
from domain.task import Task
from domain.timestamps import format_timestamp, seconds_between
from handlers.ports import LogUnavailableError
from handlers.writer.jobs import Answer
from projections.queries.answers import answer, snapshot
from projections.queries.documents import task_document
from projections.queries.questions import HealthQuery, Query, TaskQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.memory.lookup import Lookup
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, ReadableLog
    from handlers.writer.writer import Writer
    from projections.queries.answers import Snapshot

SLOW_SNAPSHOT = 5_000
"""Live tasks beyond which a query is computed in a thread, so that the writer goes on meanwhile."""

MAX_VIEWS = 1_000
"""Views that may wait for each other at once."""
VIEW_PATIENCE_S = 5.0
"""How long a view waits for those before it: who asked does not wait much longer."""
TOO_MANY_VIEWS = Refusal(RefusalCode.OVERLOADED, "too many views are asked for; try again later", {})

DIRECTIVES_BYTES = 512 * 1024
"""What the directives in one reply take together; leases and events need the rest of it."""
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
        self, writer: Writer, log: ReadableLog, lookup: Lookup, clock: Clock, health: Callable[[], Health]
    ) -> None:
        self._writer = writer
        self._log = log
        self._lookup = lookup
        self._clock = clock
        self._health = health
        self._views = asyncio.Lock()
        self._waiting = 0

    async def answer(self, query: Query) -> Answer:
        """Return the answer to a query, true at its position. Raises LogUnavailableError."""
        if isinstance(query, TaskQuery):
            return await self._task(query)
        if isinstance(query, HealthQuery):
            return await self._healthy()
        if self._waiting >= MAX_VIEWS:
            return self._too_many()
        self._waiting += 1
        try:
            return await self._view(query)
        finally:
            self._waiting -= 1

    async def _view(self, query: Query) -> Answer:
        asked_at = self._clock.now()
        async with self._views:
            if seconds_between(asked_at, self._clock.now()) >= VIEW_PATIENCE_S:
                return self._too_many()
            shot = await self._writer.at_boundary(self._snapshot)
            if len(shot.tasks) > SLOW_SNAPSHOT:
                result = await asyncio.to_thread(answer, query, shot)
            else:
                result = answer(query, shot)
            # One after the other, and what came meanwhile is heard in between: a page takes milliseconds, and however
            # many are asked for at once, they hold up neither commands nor the clockwork nor the broker's pings.
            await asyncio.sleep(0)
        return Answer(shot.position, (), result, None)

    def _too_many(self) -> Answer:
        return Answer(self._writer.memory.state.committed_position, (), None, TOO_MANY_VIEWS)

    def holds(self, agent_id: str) -> dict[str, Any]:
        """Return what an agent holds and is asked to do now. Only at a boundary."""
        state = self._writer.memory.state
        held = (state.task(task_id) for task_id in state.held_by(agent_id))
        agent = state.agent(agent_id)
        draining = agent is not None and agent.intake is IntakeStatus.DRAINING
        return holding_document((task for task in held if task is not None), draining=draining)

    def directed(self, result: dict[str, Any], agent_id: str) -> dict[str, Any]:
        """Return what an agent holds with all that it is asked to do: to stop what it lost comes first.

        At most so many bytes at once; what is left over comes when the first ones are obeyed.
        """
        directives = self._writer.memory.directives.stops(agent_id) + result["directives"]
        if len(directives) > _FEW_DIRECTIVES:
            sizes = accumulate(len(pydantic_core.to_json(each)) for each in directives)
            directives = [each for each, size in zip(directives, sizes, strict=True) if size <= DIRECTIVES_BYTES]
        return {**result, "directives": directives}

    async def _task(self, query: TaskQuery) -> Answer:
        def look(memory: Memory) -> tuple[int, Task | None]:
            return memory.state.position, memory.state.task(query.task_id)

        position, task = await self._writer.at_boundary(look)
        if task is None:
            found = await self._lookup.entity((Entity.TASK, query.task_id))
            task = found if isinstance(found, Task) else None
        if task is None:
            return Answer(
                position,
                (),
                None,
                Refusal(
                    RefusalCode.UNKNOWN_TASK,
                    f"no task {query.task_id} was submitted to this pool",
                    {"task_id": query.task_id},
                ),
            )
        return Answer(position, (), task_document(task), None)

    def _snapshot(self, memory: Memory) -> Snapshot:
        return snapshot(memory.state, self._clock.now(), memory.statistics.totals(), self._writer.presence.heard_at)

    async def _healthy(self) -> Answer:
        try:
            end = await self._log.last_position()
            return await self._writer.at_boundary(lambda memory: self._health_answer(memory, end))
        except LogUnavailableError as error:
            return self._unhealthy(error)

    def _unhealthy(self, error: LogUnavailableError) -> Answer:
        """Refuse, with what is known all the same: who asks for a pool's health wants it most when it is ill."""
        position = self._writer.memory.state.committed_position
        waited_s = self._writer.hearing.unanswered_s(self._clock.now())
        message = (
            f"the broker has not confirmed an append for {waited_s:.0f} s; position {position} is the last that it"
            " confirmed; look at its own log: a full disk is said only there"
            if waited_s
            else f"the broker did not answer: {error}"
        )
        known = {"leader": self._health().leader, "position": position, "unconfirmed_s": round(waited_s, 1)}
        return Answer(position, (), None, Refusal(RefusalCode.UNAVAILABLE, message, known))

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
            "queued": len(state.backlog),
            "waiting_claims": len(self._writer.answering.waiting),
            "queued_commands": self._writer.queued,
            "intake": pool.intake.value,
            "not_before": format_timestamp(pool.not_before) if pool.not_before else None,
            "unreadable_events": memory.unreadable_count,
            "unreadable": [unreadable._asdict() for unreadable in memory.unreadable],
            "last_event_at": format_timestamp(state.last_time),
            "clock_behind_s": max(seconds_between(self._clock.now(), state.last_time), 0.0),
            "guarantees": health.guarantees,
            "software": health.software,
        }
        return Answer(state.position, (), result, None)
