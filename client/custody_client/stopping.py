"""Stopping a handler: a coroutine is cancelled, a thread gets an exception raised in it; a shield puts both off.

CPython raises an exception in a thread between two of its instructions. A thread that waits in a system call (a
`time.sleep`, a read from a socket, a lock) gets it when the call returns, and code of an extension module when that
returns to Python. `SyncHeld.sleep` and `SyncHeld.run` end at once instead.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from custody_client.errors import Stopped

T = TypeVar("T")


class Stopper(Protocol):
    """Stops one handler, and knows whether that has to wait for the end of a critical section."""

    def stop(self) -> None:
        """Stop the handler, from any thread; once is enough."""

    def shield(self) -> None:
        """Begin a critical section: what stops the handler waits for its end."""

    def unshield(self) -> None:
        """End a critical section."""


class NoStopper:
    """For those who bring their own loop: they look at `held.cancelled`, or are told by the next report."""

    def stop(self) -> None:
        """Do nothing."""

    def shield(self) -> None:
        """Do nothing."""

    def unshield(self) -> None:
        """Do nothing."""


class TaskStopper:
    """Cancels an asyncio task, in its own event loop."""

    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task
        self._loop = task.get_loop()
        self._depth = 0
        self._due = False

    def stop(self) -> None:
        """Cancel the task at the loop's next turn."""
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            return  # the loop is closed, and its tasks have ended with it

    def shield(self) -> None:
        """Begin a critical section."""
        self._depth += 1

    def unshield(self) -> None:
        """End a critical section; a stop that came meanwhile takes effect at the next `await`."""
        self._depth -= 1
        if self._due and self._depth == 0:
            self._task.cancel()

    def _cancel(self) -> None:
        if self._due or self._task.done():
            return
        self._due = True
        if self._depth == 0:
            self._task.cancel()


class ThreadStopper:
    """Raises `Stopped` in a thread. Made in that thread; `finish` ends what it may do."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._depth = 0
        self._due = False
        self._finished = False
        self._awaited: Future[Any] | None = None

    def stop(self) -> None:
        """Raise `Stopped` in the thread, or at the end of its critical section."""
        with self._lock:
            if self._finished or self._due:
                return
            self._due = True
            if self._depth == 0:
                _raise_in(self._thread, Stopped)
            awaited = self._awaited if self._depth == 0 else None
        if awaited is not None:
            awaited.cancel()

    def wait(self, future: Future[T]) -> T:
        """Return what the event loop makes of a call of this thread; the call ends if the handler is stopped.

        Raises:
            Stopped: the handler was stopped meanwhile.
        """
        with self._lock:
            self._awaited = future
            stopped = self._due and self._depth == 0
        if stopped:
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            raise Stopped from None
        finally:
            with self._lock:
                self._awaited = None

    def shield(self) -> None:
        """Begin a critical section. An exception that is on its way, and not there yet, waits for the end of it."""
        with self._lock:
            self._depth += 1
            if self._due:
                _raise_in(self._thread, None)

    def unshield(self) -> None:
        """End a critical section; raises Stopped if the handler was stopped meanwhile."""
        with self._lock:
            self._depth -= 1
            stopped = self._due and self._depth == 0
        if stopped:
            raise Stopped

    def finish(self) -> None:
        """Let nothing be raised in the thread from now on."""
        with self._lock:
            self._finished = True
            if self._due:
                _raise_in(self._thread, None)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Have an exception raised in a thread of this process; None takes back one that was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(kind) if kind is not None else None
    )


class Shield:
    """A critical section of a handler: `with held.shield(): ...`."""

    def __init__(self, stopper: Stopper) -> None:
        self._stopper = stopper

    def __enter__(self) -> Self:
        self._stopper.shield()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopper.unshield()
