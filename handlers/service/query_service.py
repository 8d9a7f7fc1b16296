"""Queries, and what a service says of itself: answered from acknowledged state, and computed beside the writer."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import pydantic_core

from domain.errors import RefusalCode
from domain.lease_documents import holdings_document
from domain.refusal import Refusal
from domain.timestamps import seconds_between
from handlers.answering.log_health import log_health
from handlers.answering.pool_answers import PoolAnswers
from handlers.ports import LogUnavailableError
from handlers.writer.jobs import Answer
from projections.queries.questions import HealthQuery, Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.memory.lookup import Lookup
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, ReadableLog
    from handlers.writer.pool_access import PoolAccess

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
        self._clock = clock
        self._health = health
        self._answers = PoolAnswers(pool, log, lookup, clock, lambda: {"sweeper": findings()})

    async def answer(self, query: Query) -> Answer:
        """Return the answer to a query, true at its position. Raises LogUnavailableError."""
        if isinstance(query, HealthQuery):
            return await self._health_of_pool()
        position, result, refusal = await self._answers.answer(query)
        return Answer(position, result=result, refusal=refusal)

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
        result = {
            "leader": health.leader,
            "leading": state.pool.leader == health.leader,
            **log_health(memory, end),
            "waiting_claims": self._pool.waiting_claims,
            "queued_commands": self._pool.queued_commands,
            "clock_behind_s": max(seconds_between(self._clock.now(), state.last_time), 0.0),
            "guarantees": health.guarantees,
            "software": health.software,
        }
        return Answer(state.position, result=result)
