"""A worker for programs without asyncio: handlers as in `Worker`, or a loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from custody_client.portal import Portal
from custody_client.retrying import Retry
from custody_client.sync_held import SyncHeld
from custody_client.worker import Worker

F = TypeVar("F", bound=Callable[..., Any])


class SyncWorker:
    """As `Worker`: `with SyncWorker("a1") as worker: for task in worker.tasks(): ...`."""

    def __init__(self, name: str | None = None, **options: Any) -> None:
        """The arguments are those of `Worker`."""
        self.worker = Worker(name, **options)
        """The same worker, for a program with asyncio."""
        self._portal: Portal | None = None

    def task(
        self, kind: str | None = None, *, retry: Retry | None = None, progress_within: timedelta | float | None = None
    ) -> Callable[[F], F]:
        """Return a decorator that registers a handler; see `Worker.task`."""
        return self.worker.task(kind, retry=retry, progress_within=progress_within)

    def run(self, *, burst: bool = False) -> None:
        """Work with the handlers until SIGTERM or SIGINT; see `Worker.run`."""
        self.worker.run(burst=burst)

    def stop(self) -> None:
        """End `tasks`, from any thread."""
        if self._portal is not None:
            self._portal.loop.call_soon_threadsafe(self.worker.stop)

    def __enter__(self) -> Self:
        """Register, and begin to beat. Waits for as long as there is no broker or no service."""
        self._portal = Portal(f"custody worker {self.worker.name}")
        self._portal.enter(self.worker.__aenter__())
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        portal = self._open
        portal.call(self.worker.__aexit__(None, None, None))
        portal.close()

    def tasks(self) -> Iterator[SyncHeld[Any]]:
        """Claim, and yield each task; see `Worker.tasks`.

        A lease that is lost meanwhile is told by the next call on its task, and by `task.cancelled`.
        """
        for held in self._open.iterate(self.worker.tasks()):
            yield SyncHeld(held, self._open.loop)

    @property
    def _open(self) -> Portal:
        if self._portal is None:
            raise ValueError("`with worker` comes first")
        return self._portal
