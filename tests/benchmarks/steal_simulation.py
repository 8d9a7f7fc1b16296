"""A pool in virtual time whose decisions are the real ones: its service, its stealer, and agents that only wait."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.events.steal import Planned
from domain.events.task import Stolen
from domain.limits import MAX_CAPACITY
from domain.rules import Rules
from tests.support.pool_harness import Asked, PoolHarness, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.policies.load_balancing import StealConfig
    from tests.benchmarks.steal_loads import Load, Work

_LEASE = {"mode": "fixed", "lease_s": 80_000.0, "grace_s": 0.0}
_BEAT_S = 300.0
_LONGEST = timedelta(days=30)


class Span(NamedTuple):
    """An agent's work on one task, in seconds since the tasks were given."""

    agent: int
    begin_s: float
    end_s: float


class Course(NamedTuple):
    """What became of a load."""

    makespan_s: float
    spans: Sequence[Span]
    steals: int
    """Steal operations."""
    moved: int
    """Tasks that were moved, counted each time."""
    elsewhere: int
    """Tasks that were done by another agent than the one that they were given to."""


class _Agents:
    """Agents that work on what they hold, the oldest first, one at a time; with nothing to do they claim and wait."""

    def __init__(self, pool: PoolHarness, load: Load, *, claim: bool) -> None:
        self.pool = pool
        self.takes_s = {f"T{number}": work.takes_s for number, work in enumerate(load.tasks)}
        self.left = set(self.takes_s)
        self.spans: dict[str, Span] = {}
        self._began_at_s = 0.0
        self._paces = load.paces
        self._claim = claim
        self._replied: dict[int, asyncio.Future[None]] = {}
        pool.on_reply = self._on_reply

    async def work(self, seconds_s: float) -> None:
        """Let all work until every task is done."""
        self._began_at_s = self.pool.clock.elapsed_s
        agents = [asyncio.ensure_future(self._run(number)) for number in range(len(self._paces))]
        until = self.pool.clock.steady() + timedelta(seconds=seconds_s)
        while self.left and await self.pool.clock.step(until):
            pass
        for agent in agents:
            agent.cancel()
        await asyncio.gather(*agents, return_exceptions=True)

    def _on_reply(self, asked: Asked) -> None:
        replied = self._replied.pop(id(asked), None)
        if replied is not None and not replied.done():
            replied.set_result(None)

    async def _ask(self, number: int, verb: str, **body: Any) -> Reply:
        asked = self.pool.post(f"agent.{agent_name(number)}.{verb}", body)
        if asked.reply is None:
            self._replied[id(asked)] = asyncio.get_running_loop().create_future()
            await self._replied[id(asked)]
        return asked.answer

    async def _run(self, number: int) -> None:
        while self.left:
            held = self.pool.state.held_by(agent_name(number))
            if held:
                await self._do(number, held[0])
            elif self._claim:
                await self._ask(number, "claim", wait_s=30.0)
            else:
                await self.pool.clock.sleep(5.0)
                await self._ask(number, "heartbeat")

    async def _do(self, number: int, task_id: str) -> None:
        clock, token = self.pool.clock, self.pool.state.tasks[task_id].token
        if not (await self._ask(number, "start", task_id=task_id, token=token)).ok:
            return
        begin_s = clock.elapsed_s
        end_s = begin_s + self.takes_s[task_id] * self._paces[number]
        while end_s - clock.elapsed_s > _BEAT_S:
            await clock.sleep(_BEAT_S)
            await self._ask(number, "heartbeat")
        await clock.sleep(end_s - clock.elapsed_s)
        reply = await self._ask(number, "complete", task_id=task_id, token=token)
        assert reply.ok, reply
        self.left.discard(task_id)
        self.spans[task_id] = Span(number, begin_s - self._began_at_s, clock.elapsed_s - self._began_at_s)


def agent_name(number: int) -> str:
    """Return the name of an agent by its number."""
    return f"a{number:03}"


async def _do_before(pool: PoolHarness, before: Sequence[Work]) -> None:
    """Have an agent of the usual pace do what was done before, so that it is known how long such tasks take."""
    await pool.register("earlier", capacity=1)
    for number, work in enumerate(before):
        task_id = f"before-{number}"
        await pool.submit(task_id, lease=_LEASE, **work.definition)
        token = await pool.assign("earlier", task_id)
        await pool.given("agent.earlier.start", task_id=task_id, token=token)
        await pool.advance(work.takes_s)
        await pool.given("agent.earlier.complete", task_id=task_id, token=token)
    await pool.given("agent.earlier.deregister")


async def simulate(load: Load, config: StealConfig, *, given_to: int = 3, claim: bool = True) -> Course:
    """Return what becomes of a load whose tasks are given to so many agents; 0: they are queued, for all to claim.

    `claim`: whether agents with nothing to do claim; else they only beat, every 5 s.
    """
    pool = PoolHarness(Rules(steal=config, sweeper_enabled=False))
    await pool.start()
    await _do_before(pool, load.before)
    await pool.register(*map(agent_name, range(len(load.paces))), capacity=MAX_CAPACITY)
    home: dict[str, int] = {}
    for number, work in enumerate(load.tasks):
        task_id = f"T{number}"
        await pool.submit(task_id, lease=_LEASE, **work.definition)
        if given_to:
            home[task_id] = number % given_to
            await pool.assign(agent_name(home[task_id]), task_id)
    agents = _Agents(pool, load, claim=claim)
    await agents.work(_LONGEST.total_seconds())
    moved = pool.events(Stolen, Planned)
    elsewhere = sum(home.get(task_id, -1) != span.agent for task_id, span in agents.spans.items())
    await pool.kill()
    steals = sum(isinstance(recorded.event, Planned) for recorded in moved)
    makespan_s = max(span.end_s for span in agents.spans.values())
    return Course(makespan_s, list(agents.spans.values()), steals, len(moved) - steals, elsewhere)
