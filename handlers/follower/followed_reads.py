"""What queries read of a followed pool: all of it is acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from handlers.memory.memory import Memory
    from handlers.ports import Clock
    from projections.state.pool_state import PoolState

_T = TypeVar("_T")


class FollowedReads:
    """The reads of one memory (`PoolReads`)."""

    def __init__(self, memory: Memory, clock: Clock) -> None:
        self.memory = memory
        self._clock = clock

    @property
    def state(self) -> PoolState:
        """The state at the last folded event."""
        return self.memory.state

    @property
    def now(self) -> datetime:
        """The wall clock's time, and never before the last event's."""
        return max(self._clock.now(), self.memory.state.last_time)

    def heard_at(self, agent_id: str) -> datetime | None:
        """Return when an agent did last what is on record; None for an unknown one."""
        return self.memory.last_heard.heard_at(agent_id)

    async def read(self, read: Callable[[Memory], _T]) -> _T:
        """Call `read` and return what it returns."""
        return read(self.memory)
