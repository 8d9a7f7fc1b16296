"""One connection on one event loop thread, shared by the recorders of a factory."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from custody_eventsourcing.guarded_api import GuardedApi, Link
from custody_eventsourcing.library_errors import library_errors
from custody_eventsourcing.loop import LoopThread
from custody_eventsourcing.streams import OpenStream, StreamSpec, open_stream
from handlers.ports import LogUnavailableError
from infra.nats.connection import connect
from infra.nats.exchange import Exchange

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Awaitable, Callable, Coroutine

    from custody_eventsourcing.environment import NatsSettings

_P = ParamSpec("_P")
_T = TypeVar("_T")
_RETRY_PAUSE_S = 0.05


class AsyncDatastore:
    """The part that runs on the event loop: the connection, made when it is first needed, and the streams in use."""

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._link: Link | None = None
        self._streams: dict[StreamSpec, OpenStream] = {}
        self._opening = asyncio.Lock()

    async def link(self) -> Link:
        """Connect if necessary, and return the link. Raises BrokerUnavailableError."""
        async with self._opening:
            return await self._connected()

    async def stream(self, spec: StreamSpec) -> OpenStream:
        """Return the stream, created or checked at its first use. Raises as `open_stream` and `link` do."""
        async with self._opening:
            link = await self._connected()
            if spec not in self._streams:
                self._streams[spec] = await open_stream(link, spec)
            return self._streams[spec]

    async def use_stream(self, spec: StreamSpec, use: Callable[[OpenStream, float], Awaitable[_T]]) -> _T:
        """Call `use` with a stream and a deadline, with retries while it is unavailable. Raises LogUnavailableError."""

        async def attempt(deadline: float) -> _T:
            return await use(await self.stream(spec), deadline)

        return await self.with_retries(attempt)

    async def with_retries(self, use: Callable[[float], Awaitable[_T]]) -> _T:
        """Call `use` with a deadline; call it again while the broker is unavailable and the deadline has not passed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.timeout_s
        while True:
            try:
                return await use(deadline)
            except LogUnavailableError:
                if loop.time() + _RETRY_PAUSE_S >= deadline:
                    raise
            await asyncio.sleep(_RETRY_PAUSE_S)
            if self._link is not None:
                await self._link.api.connection.wait_connected(max(0.0, deadline - loop.time()))

    async def close(self) -> None:
        """End the connection."""
        link, self._link = self._link, None
        if link is not None:
            await link.api.connection.close()

    async def _connected(self) -> Link:
        if self._link is not None and self._link.api.connection.client.is_closed:
            self._link = None
            self._streams.clear()
        if self._link is None:
            connection = await connect(
                self._settings.url,
                name="eventsourcing",
                auth=self._settings.auth,
                deadline_s=self._settings.connect_timeout_s,
            )
            api = GuardedApi(connection)
            try:
                self._link = Link(await Exchange.open(connection), api)
            except BaseException:
                await connection.close()
                raise
        return self._link


class NatsDatastore:
    """The synchronous interface to the connection, for any thread.

    It connects when a recorder first needs it. It is closed by `close`, when it is garbage collected, or when the
    interpreter ends.
    """

    def __init__(self, settings: NatsSettings) -> None:
        self.settings = settings
        self.inner = AsyncDatastore(settings)
        self._thread = LoopThread("eventsourcing-nats")
        self._close = weakref.finalize(self, self._thread.close, self.inner.close)

    def run(self, function: Callable[_P, Coroutine[Any, Any, _T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call the function on the event loop and wait for its result; raises the library's errors."""
        with library_errors(self.settings.remedy_for_rights):
            return self._thread.run(function, *args, **kwargs)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        """Run the coroutine in the background."""
        return self._thread.start(coroutine)

    def notify(self, callback: Callable[[], object]) -> None:
        """Call the callback on the event loop soon."""
        self._thread.notify(callback)

    def close(self) -> None:
        """Close the connection and end the thread; waiting callers get InterfaceError."""
        self._close()
