"""What queries read of a followed pool: all of it is acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from handlers.memory.memory import Memory
    from projections.state.pool_state import PoolState

_T = TypeVar("_T")


class FollowedReads:
    """The reads of one memory (`PoolReads`)."""

    def __init__(self, memory: Memory, now: Callable[[], datetime]) -> None:
        """`now` returns the follower's time."""
        self.memory = memory
        self._now = now

    @property
    def state(self) -> PoolState:
        """The state at the last folded event."""
        return self.memory.state

    @property
    def now(self) -> datetime:
        """The follower's time."""
        return self._now()

    def heard_at(self, agent_id: str) -> datetime | None:
        """Return when an agent did last what is on record; None for an unknown one."""
        return self.memory.last_heard.heard_at(agent_id)

    async def read(self, read: Callable[[Memory], _T]) -> _T:
        """Call `read` and return what it returns."""
        return read(self.memory)
