"""The page `/metrics`: a small HTTP server in the service's event loop, within limits that spare the writer.

One request a connection, read within a time and a size; few connections at once; the page is made at most a few times a
second, however often it is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOG = logging.getLogger(__name__)
PATH = "/metrics"
MAX_HEAD_BYTES = 16 * 1024
MAX_CONNECTIONS = 16
TIMEOUT_S = 5.0
"""For the whole of a request, from its connection to the end of its answer."""
RETRY_S = 5.0
"""Pause before another try to listen where the port is taken."""
_TEXT = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """An answer."""

    status: str
    content_type: str
    body: bytes
    headers: tuple[str, ...] = ()


class MetricsServer:
    """Serves one page. `make_page` returns its body and content type for what a request accepts."""

    def __init__(self, host: str, port: int, make_page: Callable[[str], Awaitable[tuple[bytes, str]]]) -> None:
        self._host = host
        self._port = port
        self._make_page = make_page
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{PATH}"

    async def start(self) -> bool:
        """Listen; return whether that was possible. Else it is tried again until it is: a pool needs no metrics."""
        if await self._listens():
            return True
        self._opening = asyncio.create_task(self._listen_later(), name="metrics")
        return False

    async def stop(self) -> None:
        """Listen no longer, and break off what is being answered."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, *([] if opening is None else [opening]), return_exceptions=True)

    async def _listens(self) -> bool:
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=MAX_HEAD_BYTES)
        except OSError as error:
            _LOG.error("metrics cannot be shown at %s: %s; trying again every %g s", self.url, error, RETRY_S)
            return False
        return True

    async def _listen_later(self) -> None:
        while True:
            await asyncio.sleep(RETRY_S)
            if await self._listens():
                _LOG.info("metrics are at %s", self.url)
                return

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                page, with_body = await self._answer(reader)
                writer.write(_bytes(page, with_body=with_body))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # The caller left, was too slow, or asked at too great length.
        except Exception:  # noqa: BLE001 - the boundary: a fault must cost one scrape, not the service
            _LOG.exception("could not show the metrics")
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[Page, bool]:
        """Read a request; return its answer, and whether its body is wanted."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path != PATH:
            return Page("404 Not Found", _TEXT, f"look at {PATH}\n".encode()), method != "HEAD"
        if method not in {"GET", "HEAD"}:
            return Page("405 Method Not Allowed", _TEXT, b"GET or HEAD\n", ("Allow: GET, HEAD",)), True
        accepted = next(
            (value for name, _, value in (each.partition(":") for each in lines) if _is(name, "accept")), ""
        )
        body, content_type = await self._make_page(accepted.strip())
        return Page("200 OK", content_type, body), method == "GET"


def _is(name: str, wanted: str) -> bool:
    return name.strip().lower() == wanted


def _bytes(page: Page, *, with_body: bool) -> bytes:
    head = [
        f"HTTP/1.1 {page.status}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *page.headers,
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (page.body if with_body else b"")
