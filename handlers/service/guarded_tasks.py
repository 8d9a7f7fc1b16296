"""Requests that take time: a limited number of tasks, where a fault costs one request and not the service."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_LOG = logging.getLogger(__name__)
MAX_TASKS = 10_000
"""Requests that may wait for a look-up in the log, or for a view, at once."""


class GuardedTasks:
    """The tasks of one service's requests."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> bool:
        """Whether no further request may be begun."""
        return len(self._tasks) >= MAX_TASKS

    def spawn(self, work: Coroutine[Any, Any, None], on_fault: Callable[[], None]) -> None:
        """Begin some work; `on_fault` is called if it raises."""
        task = asyncio.get_running_loop().create_task(_guarded(work, on_fault))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step never awaits the work: without this Python warns of that.
        task.add_done_callback(lambda _: work.close())

    async def finished(self) -> None:
        """Wait until no work is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel all work; return the tasks, which end soon."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks


async def _guarded(work: Coroutine[Any, Any, None], on_fault: Callable[[], None]) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001 - the boundary: see the module
        _LOG.exception("a request could not be answered")
        on_fault()
