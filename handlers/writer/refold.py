"""Folding what others appended, and noticing a log that is not the one that was folded any more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from domain.events.pool import Led
from handlers.memory.memory import catch_up
from handlers.ports import LogUnavailableError
from handlers.writer.appending import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, ReadableLog

_LOG = logging.getLogger(__name__)


class Followed(NamedTuple):
    """What was met on the way."""

    leads: Sequence[str]
    """Who took the lead, in order."""
    rebuilt: bool
    """Whether everything was folded anew."""

    def superseding(self, leader: str) -> str | None:
        """Return who leads the pool instead of `leader`, which led it before; None if nobody does."""
        if leader in self.leads:
            since = self.leads[self.leads.index(leader) + 1 :]
        else:
            since = () if self.rebuilt else self.leads
        return since[-1] if since else None


async def follow(memory: Memory, log: ReadableLog, clock: Clock, rebuilding: Callable[[], None]) -> Followed:
    """Fold what the log holds beyond the memory; all of it, if it lost what was folded. Waits for the log if need be.

    `rebuilding` is called before each fold of all of it.
    """
    leads: list[str] = []
    rebuilt = False

    def seen(recorded: Recorded) -> None:
        if isinstance(recorded.event, Led):
            leads.append(recorded.event.leader)

    while True:
        try:
            end = await log.last_position()
            lost = await _lost(memory, log, end)
            if lost is not None:
                _LOG.critical("%s: the broker lost its tail; rebuilding", lost)
                memory.reset()
                leads.clear()
                rebuilt = True
                rebuilding()
            # The sweeper and the stealer look at a state that is not empty meanwhile, too.
            await catch_up(memory, log, until=end, seen=seen, indexed=memory.state.position > 0)
        except LogUnavailableError:
            await pause(clock)
        else:
            return Followed(leads, rebuilt)


async def _lost(memory: Memory, log: ReadableLog, end: int) -> str | None:
    """Return how the log shows that it lost what was folded here; None where it goes on from that."""
    position = memory.state.position
    if end < position:
        return f"the log ends at {end}, and position {position} was acknowledged"
    own = await log.get(position) if position else None
    if position and (own is None or memory.codec.hash_of(own) != memory.tail_hash):
        return f"position {position} of the log holds something else than was acknowledged there"
    return None
