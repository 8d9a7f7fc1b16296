"""The stealer by the policy balance: plans moves as soon as an agent has nothing to do and another has a task to spare.

An agent has nothing to do if a claim of it waits, or if it holds nothing and does not claim. The latter is looked at a
moment after it has run out, for its claim may be on its way: a claim is answered with what is moved, while an agent
that does not claim is told at its next heartbeat only.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING

from domain.actors import STEALER
from domain.commands.service_commands import ExecuteSteal
from domain.limits import MAX_CLAIM_WAIT_S
from domain.timestamps import seconds_between
from handlers.ports import steadily_after
from projections.state.balance_pass import BalancePass, Wish

if TYPE_CHECKING:
    from handlers.ports import Clock, Steady
    from handlers.writer.pool_access import PoolAccess

_LOG = logging.getLogger(__name__)

GAP_S = 0.05
"""The shortest time from one plan to the next: a plan takes a few ms at most, so that planning takes a small part."""
CLOSED_S = 1.0
"""How soon to look again while the pool is paused or agents are out of reach; nothing wakes a plan when that ends."""
MAX_CLAIMS = 1_000
"""Waiting claims that a plan looks at, the oldest; and idle agents that a pass looks at."""


class Balancer:
    """Levels the loads of one pool's agents."""

    def __init__(self, pool: PoolAccess, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._config = pool.rules.steal
        self._wake = asyncio.Event()
        self._seen = (-1, -1)
        """What was there at the last plan: tasks to spare and claims, as counts of how often they changed."""
        self._idle_since: dict[str, Steady] = {}
        """Agents that hold nothing and of which no claim waited, with the moment at which that was found."""
        self._again_in_s: float | None = None
        """In how many seconds a plan may find more than the last one did, without any event; None: that is unknown."""

    def look_again(self) -> None:
        """Wake up if an agent has nothing to do, another one has a task to spare, and one of these is new."""
        workloads = self._pool.state.workloads
        if not workloads.unstarted or not (self._pool.waiting_claims or workloads.some_ran_out or self._idle_since):
            return
        if workloads.some_ran_out or self._seen != self._changes():
            self._wake.set()

    async def run(self) -> None:
        """Plan when there is something to plan, and at every interval, until cancelled."""
        await finish_open(self._pool)
        pass_at = self._in(self._config.interval_s)
        while self._config.enabled:
            pause_s = seconds_between(self._clock.steady(), pass_at)
            if self._again_in_s is not None:
                pause_s = min(pause_s, self._again_in_s)
            await self._sleep(pause_s)
            is_pass = self._clock.steady() >= pass_at
            if is_pass:
                pass_at = self._in(self._config.interval_s)
            try:
                planned = await self.balance(look_for_idle=is_pass)
            except Exception:  # noqa: BLE001 - the pool goes on without this plan
                _LOG.exception("a steal plan failed")
                planned = True
            if planned:
                await self._clock.sleep(GAP_S)
        await asyncio.Event().wait()

    async def balance(self, *, look_for_idle: bool) -> bool:
        """Plan once, if there is anything to plan, and have the moves made; return whether there was.

        `look_for_idle`: look among all agents, not only among those that just ran out.
        """
        pool, workloads = self._pool, self._pool.state.workloads
        self._again_in_s = None
        now = self._clock.steady()
        for agent_id in workloads.take_ran_out():
            self._idle_since.setdefault(agent_id, now)
        self._seen = self._changes()
        if not workloads.unstarted:
            if look_for_idle:
                self._idle_since = {each: since for each, since in self._idle_since.items() if since == now}
            return False
        if look_for_idle:
            long_ago = steadily_after(now, -self._config.move_cost_s)
            for agent_id in workloads.idle(MAX_CLAIMS):
                self._idle_since.setdefault(agent_id, long_ago)
        if not pool.state.pool.accepts_grants or pool.cannot_judge:
            self._plan_again_in(CLOSED_S)
            return False
        claims = pool.claim_wishes(MAX_CLAIMS)
        wishes = [Wish(agent_id, tasks) for agent_id, tasks in claims.items()]
        wishes += [Wish(agent_id) for agent_id in self._idle_without_claim(claims)]
        if not wishes:
            return False
        plan = BalancePass(pool.state, pool.memory.statistics.work_times, self._config, pool.now, pool.loads_since)
        moves = plan.moves(wishes, lambda: uuid.uuid4().hex)
        if plan.ripens_in_s is not None:
            self._plan_again_in(plan.ripens_in_s)
        if moves:
            self._plan_again_in(GAP_S)
            await asyncio.gather(*(pool.ask(move, STEALER, "steal") for move in moves))
        return True

    def _idle_without_claim(self, claims: dict[str, int]) -> list[str]:
        """Return the agents that have held nothing for a moment, were heard lately, and do not claim."""
        now, settle_s = self._clock.steady(), self._config.move_cost_s
        found: list[str] = []
        for agent_id, since in list(self._idle_since.items()):
            if agent_id in claims or not self._is_idle(agent_id):
                del self._idle_since[agent_id]
                continue
            left_s = settle_s - seconds_between(since, now)
            if left_s > 0:
                self._plan_again_in(left_s)
            else:
                found.append(agent_id)
        return found

    def _is_idle(self, agent_id: str) -> bool:
        """Return whether an agent holds nothing, was heard lately, and has nothing to claim in the queue."""
        state = self._pool.state
        agent, silence_s = state.agents.get(agent_id), self._pool.silence_s(agent_id)
        return (
            agent is not None
            and not state.tasks_held(agent_id)
            and silence_s is not None
            and silence_s <= min(self._config.interval_s + self._config.move_cost_s, MAX_CLAIM_WAIT_S)
            and not state.queued_for(agent, 1, self._pool.now)
        )

    def _changes(self) -> tuple[int, int]:
        return self._pool.state.workloads.unstarted.revision, self._pool.claims_parked

    def _plan_again_in(self, seconds: float) -> None:
        self._again_in_s = seconds if self._again_in_s is None else min(self._again_in_s, seconds)

    def _in(self, seconds: float) -> Steady:
        return steadily_after(self._clock.steady(), seconds)

    async def _sleep(self, pause_s: float) -> None:
        sleep = asyncio.ensure_future(self._clock.sleep(pause_s))
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleep, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wake.clear()
            sleep.cancel()
            wake.cancel()


async def finish_open(pool: PoolAccess) -> None:
    """Carry out or give up the operations that were planned before a restart."""
    for operation_id in list(pool.state.steals):
        await pool.ask(ExecuteSteal(operation_id), STEALER, "steal")
