"""The stealer: moves tasks from loaded agents to idle ones. Which and when, one of two policies says.

By the policy threshold in a pass at every interval: it plans one move after the other, each on the loads as they are
then. By the policy balance (`balancer`) as soon as an agent has nothing to do. The writer checks each move again.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Protocol

from domain.actors import STEALER
from domain.policies.load_balancing import StealPolicy
from handlers.background.balancer import Balancer, finish_open
from projections.state.steal_pass import move_from, sources

if TYPE_CHECKING:
    from handlers.ports import Clock
    from handlers.writer.pool_access import PoolAccess

_LOG = logging.getLogger(__name__)


class Stealer(Protocol):
    """Balances the load of one pool's agents."""

    async def run(self) -> None:
        """Finish what a restart left, then move tasks as the policy says, until cancelled."""
        ...

    def look_again(self) -> None:
        """Look whether an agent has nothing to do; called after each append, and when a claim begins to wait."""
        ...


def make_stealer(pool: PoolAccess, clock: Clock) -> Stealer:
    """Return the stealer of the pool's policy."""
    if pool.rules.steal.policy is StealPolicy.THRESHOLD:
        return ThresholdStealer(pool, clock)
    return Balancer(pool, clock)


class ThresholdStealer:
    """The policy threshold: overloaded agents give to underloaded ones, in a pass at every interval."""

    def __init__(self, pool: PoolAccess, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    def look_again(self) -> None:
        """Do nothing: this policy looks at every interval only."""

    async def run(self) -> None:
        """Make a pass every interval, until cancelled. A pass that fails is logged; the next one follows."""
        interval_s = self._pool.rules.steal.interval_s
        await finish_open(self._pool)
        while True:
            await self._clock.sleep(interval_s)
            try:
                await self.steal()
            except Exception:  # noqa: BLE001 - the pool goes on without this pass
                _LOG.exception("a steal pass failed")

    async def steal(self) -> None:
        """Make one pass: each agent that is overloaded at its beginning gives tasks to one target."""
        config = self._pool.rules.steal
        state = self._pool.state
        if not config.enabled or not state.pool.accepts_grants:
            return
        since = self._pool.loads_since
        for source in sources(state, config, since):
            command = move_from(self._pool.state, config, source, uuid.uuid4().hex, since, self._pool.was_heard_lately)
            if command is not None:
                await self._pool.ask(command, STEALER, "steal")
