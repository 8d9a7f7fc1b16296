"""An HTTP server on this machine that keeps what is posted to it, and answers as the test says."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self


class Posted(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    """By names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answered(status: int, *headers: str, body: str = "") -> bytes:
    """Return an answer."""
    head = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


class WebhookReceiver:
    """Takes requests, one a connection."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._server: asyncio.Server | None = None
        self.answer: Callable[[Posted], bytes | None] = lambda _: answered(204)
        """Returns the bytes of an answer; None: none comes."""
        self.got: list[Posted] = []
        self._changed = asyncio.Event()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/hook/s3cret-path"

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def until(self, count: int) -> None:
        """Return once so many requests have come."""
        async with asyncio.timeout(30):
            while len(self.got) < count:
                self._changed.clear()
                await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._open[serving] = writer
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            posted = Posted(method, path, headers, body)
            self.got.append(posted)
            self._changed.set()
            answer = self.answer(posted)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self._open[serving]
            writer.close()
