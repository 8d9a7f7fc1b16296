"""One connection on one event loop thread, shared by the recorders of a factory."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from custody_eventsourcing.library_errors import library_errors
from custody_eventsourcing.loop import LoopThread
from custody_eventsourcing.streams import OpenStream, StreamSpec, open_stream
from handlers.ports import LogUnavailableError
from infra.nats import connect
from infra.nats.exchange import Exchange

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Awaitable, Callable, Coroutine

    from custody_eventsourcing.environment import NatsSettings

_P = ParamSpec("_P")
_T = TypeVar("_T")
_RETRY_PAUSE_S = 0.05


class Core:
    """What lives on the event loop: the connection, once it is needed, and the streams it has opened."""

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._exchange: Exchange | None = None
        self._streams: dict[StreamSpec, OpenStream] = {}
        self._opening = asyncio.Lock()

    async def exchange(self) -> Exchange:
        """The connection's exchange, after connecting if that was not done yet. Raises BrokerUnavailableError."""
        async with self._opening:
            return await self._connected()

    async def stream(self, spec: StreamSpec) -> OpenStream:
        """The stream, made or checked at its first use. Raises as `open_stream` and `exchange` do."""
        async with self._opening:
            exchange = await self._connected()
            if spec not in self._streams:
                self._streams[spec] = await open_stream(exchange, spec)
            return self._streams[spec]

    async def on_stream(self, spec: StreamSpec, use: Callable[[OpenStream, float], Awaitable[_T]]) -> _T:
        """Use a stream, by a deadline, as often as it takes for it to be available. Raises LogUnavailableError."""

        async def use_stream(deadline: float) -> _T:
            return await use(await self.stream(spec), deadline)

        return await self.patiently(use_stream)

    async def patiently(self, use: Callable[[float], Awaitable[_T]]) -> _T:
        """Do something, by a deadline, again as long as the broker is not available."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.timeout_s
        while True:
            try:
                return await use(deadline)
            except LogUnavailableError:
                if loop.time() + _RETRY_PAUSE_S >= deadline:
                    raise
            await asyncio.sleep(_RETRY_PAUSE_S)
            if self._exchange is not None:
                await self._exchange.connection.wait_connected(max(0.0, deadline - loop.time()))

    async def close(self) -> None:
        """End the connection."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.connection.close()

    async def _connected(self) -> Exchange:
        if self._exchange is not None and self._exchange.connection.client.is_closed:
            self._exchange = None
            self._streams.clear()
        if self._exchange is None:
            connection = await connect(
                self._settings.url,
                name="eventsourcing",
                auth=self._settings.auth,
                inbox_prefix=self._settings.inbox_prefix,
                deadline_s=self._settings.connect_timeout_s,
            )
            try:
                self._exchange = await Exchange.open(connection)
            except BaseException:
                await connection.close()
                raise
        return self._exchange


class NatsDatastore:
    """The synchronous face of the connection; any thread may use it.

    It connects when a recorder first needs it, and is closed by `close`, when nobody refers to it any more, or when
    the interpreter ends.
    """

    def __init__(self, settings: NatsSettings) -> None:
        self.settings = settings
        self.core = Core(settings)
        self._thread = LoopThread("eventsourcing-nats")
        self._close = weakref.finalize(self, self._thread.close, self.core.close)

    def run(self, function: Callable[_P, Coroutine[Any, Any, _T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call the function on the event loop and wait; errors are the library's."""
        with library_errors():
            return self._thread.run(function, *args, **kwargs)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        """Let the coroutine run in the background."""
        return self._thread.start(coroutine)

    def notify(self, callback: Callable[[], object]) -> None:
        """Call the callback on the event loop soon."""
        self._thread.notify(callback)

    def close(self) -> None:
        """End the connection and the thread; callers that wait get InterfaceError."""
        self._close()
