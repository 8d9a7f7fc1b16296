"""Folding what others appended, and detecting that the log is no longer the one that was folded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from domain.events.pool import Led
from handlers.memory.catch_up import catch_up
from handlers.ports import LogUnavailableError
from handlers.writer.appending import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import Clock, ReadableLog

_LOG = logging.getLogger(__name__)


class Refolded(NamedTuple):
    """What was found while folding."""

    leads: Sequence[str]
    """The leaders whose `led` was folded, in order."""
    rebuilt: bool
    """Whether the whole log was folded anew."""

    def superseding(self, leader: str) -> str | None:
        """Return the service that leads the pool instead of `leader`, which led it before; None if none does."""
        if leader in self.leads:
            since = self.leads[self.leads.index(leader) + 1 :]
        else:
            since = () if self.rebuilt else self.leads
        return since[-1] if since else None


async def refold(memory: Memory, log: ReadableLog, clock: Clock, on_rebuild: Callable[[], None]) -> Refolded:
    """Fold what the log holds beyond the memory, or all of it if the log lost what was folded.

    Tries again until the log answers. `on_rebuild` is called before each fold of the whole log.
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
                on_rebuild()
            # The sweeper and the stealer read the state meanwhile, so its indexes must be kept unless it is empty.
            await catch_up(memory, log, until=end, seen=seen, indexed=memory.state.position > 0)
        except LogUnavailableError:
            await pause(clock)
        else:
            return Refolded(leads, rebuilt)


async def _lost(memory: Memory, log: ReadableLog, end: int) -> str | None:
    """Return how the log differs from what was folded, in words; None where it continues that."""
    position = memory.state.position
    if end < position:
        return f"the log ends at {end}, and position {position} was acknowledged"
    own = await log.get(position) if position else None
    if position and (own is None or memory.codec.hash_of(own) != memory.tail_hash):
        return f"position {position} of the log holds something else than was acknowledged there"
    return None
