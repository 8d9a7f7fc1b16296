"""Folding what others appended, and detecting that the log is no longer the one that was folded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from domain.events.pool import Led
from domain.timestamps import seconds_between
from handlers.memory.catch_up import catch_up
from handlers.ports import LogLostError, LogUnavailableError
from handlers.writer.appending import pause

if TYPE_CHECKING:
    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, ReadableLog, Steady

_LOG = logging.getLogger(__name__)
ADVICE = ": the broker lost its tail, or another log was put in its place; the next start says what can be done"


async def refold(memory: Memory, log: ReadableLog, clock: Clock, loss_confirm_s: float) -> list[str]:
    """Fold what the log holds beyond the memory; return the leaders whose `led` was folded, in order.

    Tries again until the log answers. A log that lacks what was acknowledged is believed when it does so for
    `loss_confirm_s`: until then it may be the copy of a broker that does not know yet that it leads no longer.

    Raises:
        LogLostError: the log lost its tail, or is another one.
    """
    leads: list[str] = []
    lost_since: Steady | None = None

    def seen(recorded: Recorded) -> None:
        if isinstance(recorded.event, Led):
            leads.append(recorded.event.leader)

    while True:
        try:
            end = await log.last_position()
            lost = await _lost(memory, log, end)
            if lost is None:
                lost_since = None
                # The sweeper and the stealer read the state meanwhile, so its indexes must be kept.
                await catch_up(memory, log, until=end, seen=seen, indexed=True)
                return leads
            lost_since = lost_since or clock.steady()
            if seconds_between(lost_since, clock.steady()) >= loss_confirm_s:
                _LOG.critical("%s", lost)
                raise LogLostError(f"{lost}{ADVICE}")
        except LogUnavailableError:
            pass
        await pause(clock)


async def _lost(memory: Memory, log: ReadableLog, end: int) -> str | None:
    """Return how the log differs from what was folded, in words; None where it continues that."""
    position = memory.state.position
    if end < position:
        return f"the log ends at {end}, and position {position} was acknowledged"
    own = await log.get(position) if position else None
    if position and (own is None or memory.codec.hash_of(own) != memory.tail_hash):
        return f"position {position} of the log holds something else than was acknowledged there"
    return None
