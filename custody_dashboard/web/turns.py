"""Costly work that is done one after the other, with a limit on how much of it waits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from custody_dashboard.web.api_error import busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Turns:
    """Turns at one kind of work."""

    def __init__(self, most_waiting: int, what: str) -> None:
        """`what`: of what there is too much, for the refusal."""
        self._most_waiting = most_waiting
        self._what = what
        self._lock = asyncio.Lock()
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the block. Raises ApiError if too many wait."""
        if self._waiting >= self._most_waiting:
            raise busy(f"too many {self._what} at once; try again in a few seconds")
        self._waiting += 1
        try:
            async with self._lock:
                yield
        finally:
            self._waiting -= 1
