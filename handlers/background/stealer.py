"""The stealer: moves tasks from overloaded agents to underloaded ones, in a pass at every interval.

A pass plans one move after the other, each on the loads as they are then; the writer checks each move again.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from domain.actors import STEALER
from domain.commands.service_commands import ExecuteSteal
from projections.state.steal_pass import move_from, sources

if TYPE_CHECKING:
    from handlers.ports import Clock
    from handlers.writer.pool_access import PoolAccess

_LOG = logging.getLogger(__name__)


class Stealer:
    """Balances the load of one pool's agents."""

    def __init__(self, pool: PoolAccess, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def run(self) -> None:
        """Make a pass every interval, until cancelled. A pass that fails is logged; the next one follows."""
        interval_s = self._pool.rules.steal.interval_s
        await self.finish_open()
        while True:
            await self._clock.sleep(interval_s)
            try:
                await self.steal()
            except Exception:  # noqa: BLE001 - the pool goes on without this pass
                _LOG.exception("a steal pass failed")

    async def finish_open(self) -> None:
        """Carry out or give up the operations that were planned before a restart."""
        for operation_id in list(self._pool.state.steals):
            await self._pool.ask(ExecuteSteal(operation_id), STEALER, "steal")

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
