"""Reads deferred until all state is acknowledged by the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from domain.timestamps import seconds_between
from handlers.ports import LogUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from handlers.memory.memory import Memory
    from handlers.ports import Steady

_T = TypeVar("_T")


class _Read(NamedTuple):
    run: Callable[[], None]
    fail: Callable[[], None]
    asked_at: Steady


class DeferredReads:
    """Reads of the memory that wait until nothing in it is tentative."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._reads: list[_Read] = []

    def __bool__(self) -> bool:
        return bool(self._reads)

    def defer(self, read: Callable[[Memory], _T], now: Steady) -> asyncio.Future[_T]:
        """Return a future for what `read` returns; it fails with LogUnavailableError after a timeout."""
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

        def run() -> None:
            if not future.cancelled():
                try:
                    future.set_result(read(self._memory))
                except Exception as error:  # noqa: BLE001 - handed to the caller of `defer`
                    future.set_exception(error)

        def fail() -> None:
            if not future.cancelled():
                future.set_exception(LogUnavailableError("the state was not acknowledged in time"))

        self._reads.append(_Read(run, fail, now))
        return future

    def run_all(self) -> None:
        """Run every deferred read. Nothing in the memory may be tentative."""
        reads, self._reads = self._reads, []
        for read in reads:
            read.run()

    def fail_all(self) -> None:
        """Fail every deferred read: the state will not be acknowledged any more."""
        reads, self._reads = self._reads, []
        for read in reads:
            read.fail()

    def fail_timed_out(self, now: Steady, timeout_s: float) -> bool:
        """Fail reads that have waited for `timeout_s`; return whether there were any."""
        late = [read for read in self._reads if seconds_between(read.asked_at, now) >= timeout_s]
        if late:
            self._reads = [read for read in self._reads if seconds_between(read.asked_at, now) < timeout_s]
            for read in late:
                read.fail()
        return bool(late)
