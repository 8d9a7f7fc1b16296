"""Subscriptions: what a stream holds and what it will hold, for a thread that waits for it."""

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

_HIGH = 5_000
_LOW = 1_000
"""Messages that wait for a slow taker: when the broker is held up, and when it may go on."""

_STOP_TIMEOUT_S = 2.0


class Feed:
    """Messages from the event loop to a thread; ends when it is stopped or the datastore is closed."""

    def __init__(self, datastore: NatsDatastore, source: Callable[[], AsyncGenerator[StoredMessage, None]]) -> None:
        self._datastore = datastore
        self._waiting: deque[StoredMessage] = deque()
        self._news = threading.Condition()
        self._room = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._pumping = datastore.start(self._pump(source))
        # A task that is cancelled before its first step runs none of its own code.
        self._pumping.add_done_callback(self._on_end)

    def next(self) -> StoredMessage | None:
        """The next message, once there is one; None at the end. Raises the library's errors."""
        with self._news:
            while not (self._waiting or self._ended or self._stopped):
                self._news.wait()
            if self._stopped:
                return None
            if self._waiting:
                message = self._waiting.popleft()
                if len(self._waiting) == _LOW:
                    self._datastore.notify(self._room.set)
                return message
            error = self._error
        if error is not None:
            with library_errors():
                raise error
        return None

    def stop(self) -> None:
        """End the feed; whoever waits for a message gets None."""
        with self._news:
            self._stopped = True
            self._news.notify_all()
        self._datastore.notify(self._cancel)

    def join(self) -> None:
        """Wait until nothing of it runs any more."""
        with self._news:
            self._news.wait_for(lambda: self._ended, _STOP_TIMEOUT_S)

    async def _pump(self, source: Callable[[], AsyncGenerator[StoredMessage, None]]) -> None:
        if self._stopped:
            return
        self._task = asyncio.current_task()
        messages = source()
        try:
            async for message in messages:
                with self._news:
                    self._waiting.append(message)
                    self._news.notify()
                    crowded = len(self._waiting) >= _HIGH
                if crowded:
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:  # noqa: BLE001 # raised in the thread that takes the messages
            self._error = error
        finally:
            await messages.aclose()

    def _cancel(self) -> None:
        """Cancel the task, again if that was swallowed on the way."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            asyncio.get_running_loop().call_later(CANCEL_AGAIN_S, self._cancel)

    def _on_end(self, _: concurrent.futures.Future[None]) -> None:
        with self._news:
            self._ended = True
            self._news.notify_all()


class NatsSubscription(Subscription[ApplicationRecorder]):
    """A recorder's events in order, those to come included.

    `read` makes the notification of a message, or None of what is no event or not asked for.
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
        self._feed = Feed(datastore, lambda: _follow(open_view, gt or 0))

    def __next__(self) -> Notification:
        while (message := self._feed.next()) is not None:
            notification = self._read(message)
            if notification is not None:
                return notification
        raise StopIteration

    def stop(self) -> None:
        """End the iteration, in whatever thread it waits."""
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
