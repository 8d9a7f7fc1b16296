"""Looks at the workloads every so often and has work moved from the overloaded to the idle.

It plans on the acknowledged views, one move after the other with the loads as they then stand; each move is decided
anew by the writer, which checks everything again.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from domain.actors import STEALER
from domain.service_commands import ExecuteSteal
from domain.timestamps import after
from handlers.background.sweeper import ask
from projections.state.steal_pass import move_from, sources

if TYPE_CHECKING:
    from handlers.ports import Clock
    from handlers.writer.writer import Writer

_LOG = logging.getLogger(__name__)


class Stealer:
    """The pool's balance."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self.moved = 0
        """Tasks moved so far."""

    async def run(self) -> None:
        """Make a pass every interval, until cancelled. A pass that fails is logged, and the next one comes."""
        interval_s = self._writer.rules.steal.interval_s
        await self.finish_open()
        while True:
            await self._clock.sleep_until(after(self._clock.now(), interval_s))
            try:
                await self.steal()
            except Exception:  # noqa: BLE001 - the next pass may do better; the pool goes on without stealing
                _LOG.exception("a steal pass failed")

    async def finish_open(self) -> None:
        """Carry out or give up what was planned before a restart."""
        for operation_id in list(self._writer.memory.state.steals):
            await ask(self._writer, self._clock, ExecuteSteal(operation_id), STEALER, "steal")

    async def steal(self) -> None:
        """Make one pass: each agent that was overloaded at its beginning gives to one target."""
        config = self._writer.rules.steal
        state = self._writer.memory.state
        if not config.enabled or not state.pool.accepts_grants:
            return
        for source in sources(state, config):
            command = move_from(self._writer.memory.state, config, source, uuid.uuid4().hex)
            if command is not None:
                answer = await ask(self._writer, self._clock, command, STEALER, "steal")
                self.moved += len((answer.result or {}).get("task_ids", ()))
