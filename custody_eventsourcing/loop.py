"""The event loop thread: runs coroutines for synchronous callers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from eventsourcing.persistence import InterfaceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

_P = ParamSpec("_P")
_T = TypeVar("_T")

CLOSE_TIMEOUT_S = 5.0
CANCEL_AGAIN_S = 0.1


class LoopThread:
    """An event loop in a thread of its own; `close` cancels what still runs on it."""

    def __init__(self, name: str) -> None:
        self._loop = _new_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name=name, daemon=True)
        # Reentrant: the garbage collector may run a finalizer that calls `notify` or `close` while this thread has it.
        self._lock = threading.RLock()
        self._closed = False
        self._thread.start()

    def run(self, function: Callable[_P, Coroutine[Any, Any, _T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call the function on the loop and wait for its result, from any other thread.

        Raises:
            InterfaceError: the loop is closed, or was closed while the caller waited.
        """
        if threading.current_thread() is self._thread:
            raise InterfaceError("the event loop cannot wait for itself")
        with self._lock:
            if self._closed:
                raise InterfaceError("the connection to the broker is closed")
            future = asyncio.run_coroutine_threadsafe(function(*args, **kwargs), self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise InterfaceError("closed while waiting for the broker; a write in flight may be stored") from None
        except BaseException:
            future.cancel()
            raise

    def start(self, coroutine: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        """Run the coroutine in the background. Raises InterfaceError if the loop is closed."""
        with self._lock:
            if self._closed:
                coroutine.close()
                raise InterfaceError("the connection to the broker is closed")
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def notify(self, callback: Callable[[], object]) -> None:
        """Call the callback on the loop soon; nothing happens once the loop is closed."""
        with self._lock:
            if not self._closed:
                self._loop.call_soon_threadsafe(callback)

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Cancel what runs, await `last` on the loop and end the thread; closing twice is harmless.

        Waiting callers get InterfaceError. Called on the loop's own thread, by a finalizer, it does not wait.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            asyncio.run_coroutine_threadsafe(self._finish(last), self._loop)
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_TIMEOUT_S)

    async def _finish(self, last: Callable[[], Awaitable[None]]) -> None:
        try:
            await _cancel_others()
            await last()
            await _cancel_others()
        finally:
            self._loop.stop()


async def _cancel_others() -> None:
    """Cancel all other tasks until they have ended: before Python 3.12 `wait_for` may swallow a cancellation."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=CANCEL_AGAIN_S)
        for task in others:
            if task.done() and not task.cancelled():
                task.exception()


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 # not everywhere
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
