"""Waiting for what does not answer: said once when it begins and once when it is over, ever longer in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from handlers.ports import Clock

T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
TRIES = 10
"""In a row, for those who do not wait for ever; with the pauses between them half a minute."""


class StoppedError(Exception):
    """Somebody asked for the end."""


class Outages:
    """What somebody has to wait for, until `stop`."""

    def __init__(self, clock: Clock, tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._failures = 0
        """In a row."""
        self.stopping = asyncio.Event()
        self.tries: int | None = None
        """None: as many as it takes."""

    @property
    def lasts(self) -> bool:
        """Whether something does not answer."""
        return self._failures > 0

    async def stopped(self) -> None:
        """Raise StoppedError when somebody asks for the end."""
        await self.stopping.wait()
        raise StoppedError

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what some work comes to. Raises StoppedError, without waiting for the work."""
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self.stopped())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                stopping.result()
            return working.result()
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def wait_out(self, error: Exception) -> None:
        """Let a while pass before the next try. Raises the error after too many, StoppedError."""
        if self.tries is not None and self._failures >= self.tries:
            raise error
        if not self._failures:
            self._tell(f"{error}; trying again")
        self._failures += 1
        await self.pause(min(_FIRST_PAUSE_S * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE_S))

    def over(self, where: str) -> None:
        """Everything answers."""
        if self._failures:
            self._tell(f"it works again, {where}")
        self._failures = 0

    async def pause(self, seconds: float) -> None:
        """Let time pass. Raises StoppedError."""
        waking = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({waking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                raise StoppedError
        finally:
            waking.cancel()
            stopping.cancel()
