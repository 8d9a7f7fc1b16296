"""A request to stop, which ends waits early."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from handlers.ports import Clock

T = TypeVar("T")


class StoppedError(Exception):
    """A stop was requested."""


class StopRequest:
    """Set once; every wait below then raises StoppedError."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._requested = asyncio.Event()

    def set(self) -> None:
        """Request the stop."""
        self._requested.set()

    async def wait(self) -> None:
        """Wait for the request, then raise StoppedError."""
        await self._requested.wait()
        raise StoppedError

    async def interrupting(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`. A stop cancels it and raises StoppedError."""
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                stopping.result()
            return working.result()
        finally:
            working.cancel()
            stopping.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def sleep(self, seconds: float) -> None:
        """Sleep by the clock. Raises StoppedError."""
        await self.interrupting(self._clock.sleep(seconds))
