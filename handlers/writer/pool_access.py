"""Access to a served pool for background work and queries: what they may read, and how they have it changed."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, TypeVar

from domain.policies.liveness import was_heard_lately
from domain.policies.load_balancing import loads_since
from domain.request import Request
from handlers.writer.jobs import Answer, Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.agent import Agent
    from domain.commands.service_commands import ServiceCommand
    from domain.rules import Rules
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, Steady
    from handlers.telemetry import CommandTracer
    from handlers.writer.writer import Writer
    from projections.state.pool_state import PoolState

_T = TypeVar("_T")


class PoolAccess:
    """The view of one pool, and `ask`. The state is for reading only; the service's own commands go through `ask`."""

    def __init__(self, writer: Writer, clock: Clock, tracer: CommandTracer | None = None) -> None:
        """`tracer` follows the service's own commands; None: nothing does."""
        self._writer = writer
        self._clock = clock
        self._tracer = tracer

    @property
    def state(self) -> PoolState:
        """The state as it is now, tentative changes included."""
        return self._writer.memory.state

    @property
    def memory(self) -> Memory:
        """The state with the views over acknowledged events."""
        return self._writer.memory

    @property
    def rules(self) -> Rules:
        """The pool's rules."""
        return self._writer.rules

    @property
    def cannot_judge(self) -> bool:
        """Whether an agent's silence may be the link's to the broker, so that it must not be judged now."""
        return self._writer.broker_link.cannot_judge(self._clock.steady())

    @property
    def unanswered_s(self) -> float:
        """For how many seconds the broker has owed an answer; 0 if it owes none."""
        return self._writer.broker_link.unanswered_s(self._clock.steady())

    @property
    def queued_commands(self) -> int:
        """Commands that wait to be decided."""
        return self._writer.queued

    @property
    def waiting_claims(self) -> int:
        """Claims that wait for work."""
        return len(self._writer.waiting)

    def heard_at(self, agent_id: str) -> datetime | None:
        """Return when the agent was last heard, or else did last what is on record; None for an unknown agent."""
        heard_at, recorded_at = self._writer.liveness.heard_at(agent_id), self.memory.last_heard.heard_at(agent_id)
        return max((at for at in (heard_at, recorded_at) if at is not None), default=None)

    def was_heard_lately(self, agent: Agent) -> bool:
        """Return whether an agent was heard within a lease's first term, so that it may be given work unasked."""
        return was_heard_lately(
            self._writer.rules.lease,
            silence_s=self._writer.liveness.silence_at(self._clock.steady())(agent.agent_id),
            last_recorded_at=agent.last_recorded_at,
            now=self.now,
        )

    @property
    def claims_parked(self) -> int:
        """How often a claim began to wait, or to wait again."""
        return self._writer.waiting.parked

    def claim_wishes(self, limit: int) -> dict[str, int]:
        """Return how many tasks the agents ask for whose claims wait; of `limit` claims at most, oldest first."""
        return self._writer.waiting.wishes(limit)

    def silence_s(self, agent_id: str) -> float | None:
        """Return for how many seconds an agent has not been heard, or None if it was not heard since the start."""
        return self._writer.liveness.silence_at(self._clock.steady())(agent_id)

    @property
    def loads_since(self) -> datetime:
        """The moment since which a load must have been reported to count now."""
        return loads_since(self.now, self._writer.rules.load_valid_s)

    @property
    def now(self) -> datetime:
        """The pool's time, at which the next command would be decided."""
        return self._writer.now

    def silent_agents(self) -> list[tuple[str, float]]:
        """Return the agents that count as lost now, with their silence in seconds."""
        return self._writer.liveness.silent(self._clock.steady())

    def forget_agent(self, agent_id: str) -> None:
        """Stop watching an agent."""
        self._writer.liveness.forget(agent_id)

    def end_timed_out_waits(self) -> None:
        """Answer the waiting claims whose time has come."""
        self._writer.waiting.end_timed_out(self._clock.steady())

    def release_delayed(self) -> None:
        """Let the queued tasks whose time has come wake the claims that wait for them.

        By the time at which a claim would be decided: none waits for what another one would be granted.
        """
        self._writer.waiting.release_delayed(self.now)

    def next_delayed_at(self) -> datetime | None:
        """Return when the next queued task becomes claimable by its time alone, or None if none will."""
        return self.state.indexes.backlog.next_ready_at()

    def next_timeout_at(self) -> Steady | None:
        """Return a moment before which no agent becomes lost and no waiting claim times out; None for never."""
        moments = (self._writer.waiting.next_timeout_at(), self._writer.liveness.next_at())
        return min((moment for moment in moments if moment is not None), default=None)

    async def read(self, read: Callable[[Memory], _T]) -> _T:
        """Call `read` when all of the state is acknowledged, and return what it returns; it must not wait.

        Raises LogUnavailableError when the log does not acknowledge it in time.
        """
        return await self._writer.read(read)

    async def ask(self, command: ServiceCommand, actor: str, verb: str) -> Answer:
        """Put a command of the service's own through the writer, ahead of the queue; return its answer."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def on_answer(job: Job, answer: Answer) -> None:
            if job.trace is not None:
                job.trace.end(answer.position, answer.records, answer.refusal, self.state.task)
            if not answered.done():
                answered.set_result(answer)

        request = Request(command, actor, uuid.uuid4().hex, verb=verb)
        trace = None if self._tracer is None else self._tracer.begin(request)
        self._writer.submit_first(Job(request, on_answer, self._clock.steady(), trace=trace))
        return await answered
