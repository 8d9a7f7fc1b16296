"""Subscriptions: a stream's present and future messages, for a thread that waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

from custody_eventsourcing.library_errors import library_errors
from custody_eventsourcing.loop import CANCEL_AGAIN_S

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from custody_eventsourcing.datastore import NatsDatastore
    from custody_eventsourcing.reading import StreamView
    from handlers.ports import StoredMessage

_PAUSE_AT_MESSAGES = 5_000
_RESUME_AT_MESSAGES = 1_000
"""Undelivered messages at which reading pauses, and at which it resumes."""

_STOP_TIMEOUT_S = 2.0


class MessageFeed:
    """Passes messages from the event loop to a thread; ends when it is stopped or the datastore is closed."""

    def __init__(self, datastore: NatsDatastore, source: Callable[[], AsyncGenerator[StoredMessage, None]]) -> None:
        self._datastore = datastore
        self._waiting: deque[StoredMessage] = deque()
        self._changed = threading.Condition()
        self._resumed = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._pumping = datastore.start(self._pump(source))
        # Not in `_pump`: a task that is cancelled before its first step runs none of its code.
        self._pumping.add_done_callback(self._on_end)

    def next(self) -> StoredMessage | None:
        """Wait for the next message and return it; None at the end. Raises the library's errors."""
        with self._changed:
            while not (self._waiting or self._ended or self._stopped):
                self._changed.wait()
            if self._stopped:
                return None
            if self._waiting:
                message = self._waiting.popleft()
                if len(self._waiting) == _RESUME_AT_MESSAGES:
                    self._datastore.notify(self._resumed.set)
                return message
            error = self._error
        if error is not None:
            with library_errors(self._datastore.settings.remedy_for_rights):
                raise error
        return None

    def stop(self) -> None:
        """End the feed; a thread that waits for a message gets None."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._datastore.notify(self._cancel)

    def join(self) -> None:
        """Wait until the feed has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended, _STOP_TIMEOUT_S)

    async def _pump(self, source: Callable[[], AsyncGenerator[StoredMessage, None]]) -> None:
        if self._stopped:
            return
        self._task = asyncio.current_task()
        messages = source()
        try:
            async for message in messages:
                with self._changed:
                    self._waiting.append(message)
                    self._changed.notify()
                    full = len(self._waiting) >= _PAUSE_AT_MESSAGES
                if full:
                    self._resumed.clear()
                    await self._resumed.wait()
        except Exception as error:  # noqa: BLE001 # raised in the thread that takes the messages
            self._error = error
        finally:
            await messages.aclose()

    def _cancel(self) -> None:
        """Cancel the task, and again while it swallows the cancellation."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            asyncio.get_running_loop().call_later(CANCEL_AGAIN_S, self._cancel)

    def _on_end(self, _: concurrent.futures.Future[None]) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class NatsSubscription(Subscription[ApplicationRecorder]):
    """A recorder's events in order, future ones included.

    `read` converts a message to a notification; None if it is not an event or not asked for.
    """

    def __init__(
        self,
        recorder: ApplicationRecorder,
        datastore: NatsDatastore,
        open_view: Callable[[], Awaitable[StreamView]],
        read: Callable[[StoredMessage], Notification | None],
        *,
        gt: int | None,
        topics: Sequence[str],
    ) -> None:
        super().__init__(recorder, gt=gt, topics=topics)
        self._read = read
        self._feed = MessageFeed(datastore, lambda: _follow(open_view, gt or 0))

    def __next__(self) -> Notification:
        while (message := self._feed.next()) is not None:
            notification = self._read(message)
            if notification is not None:
                return notification
        raise StopIteration

    def stop(self) -> None:
        """End the iteration, from any thread."""
        super().stop()
        self._feed.stop()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        super().__exit__(*args, **kwargs)
        self._feed.join()

    def __del__(self) -> None:
        if hasattr(self, "_feed"):
            self._feed.stop()


async def _follow(open_view: Callable[[], Awaitable[StreamView]], after: int) -> AsyncGenerator[StoredMessage, None]:
    view = await open_view()
    messages = view.follow(after=after)
    try:
        async for message in messages:
            yield message
    finally:
        await messages.aclose()
