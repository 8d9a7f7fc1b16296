"""A client for programs without asyncio."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from custody_client.client import Client, Task
from custody_client.portal import Portal
from custody_client.wire import Event, Explanation, Fate, TaskState


class SyncClient:
    """As `Client`: `with SyncClient() as client`. Its methods wait, and may be called from several threads."""

    def __init__(self, url: str | None = None, **options: Any) -> None:
        """The arguments are those of `Client`."""
        self._client = Client(url, **options)
        self._portal: Portal | None = None

    def __enter__(self) -> Self:
        """Connect; raises AddressError, CredentialsError or NoBrokerError if that fails."""
        self._portal = Portal("custody client")
        self._portal.enter(self._client.__aenter__())
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.call(self._client.__aexit__(None, None, None))
        self._open.close()

    @property
    def _open(self) -> Portal:
        if self._portal is None:
            raise ValueError("`with client` comes first")
        return self._portal

    def submit(self, kind: str | None = None, payload: Any = None, **definition: Any) -> SyncTask:
        """Submit a task, and return it; the arguments are those of `Client.submit`."""
        return SyncTask(self._open, self._open.call(self._client.submit(kind, payload, **definition)))

    def task(self, task_id: str) -> SyncTask:
        """Return a task by its name; nothing is asked yet."""
        return SyncTask(self._open, self._client.task(task_id))

    def act(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Carry out an operator's command, and return its result."""
        return self._open.call(self._client.act(verb, **fields))

    def query(self, view: str, **fields: Any) -> dict[str, Any]:
        """Ask for a view, and return it."""
        return self._open.call(self._client.query(view, **fields))

    def watch(
        self, kind: str | None = None, *, task_id: str | None = None, after: int | None = None
    ) -> Iterator[Event]:
        """Yield events as they happen; see `Client.watch`."""
        return self._open.iterate(self._client.watch(kind, task_id=task_id, after=after))


class SyncTask:
    """A task that was submitted."""

    def __init__(self, portal: Portal, task: Task) -> None:
        self._portal = portal
        self._task = task
        self.task_id = task.task_id
        self.was = task.was
        """Whether the submit found it `new`, `known` or `ended`; None: it was not submitted here."""

    def state(self) -> TaskState:
        """Return how it stands."""
        return self._portal.call(self._task.state())

    def explain(self) -> Explanation:
        """Return where it is, why, and what happens next."""
        return self._portal.call(self._task.explain())

    def result(self, timeout_s: float | None = None) -> Any:
        """Wait until it has ended, and return its result; see `Task.result`."""
        return self._portal.call(self._task.result(timeout_s))

    def cancel(self, reason: str | None = None) -> Fate:
        """Cancel it."""
        return self._portal.call(self._task.cancel(reason))

    def __repr__(self) -> str:
        return f"SyncTask({self.task_id!r})"
