"""Streamable HTTP: on this machine for anyone, elsewhere for who has the token."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from mcp.server import MCPServer
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"
TOKEN_VARIABLE = "CUSTODY_MCP_TOKEN"  # noqa: S105 - a variable's name
SHUTDOWN_S = 3


def place(text: str) -> tuple[str, int]:
    """Return host and port of `[HOST:]PORT`; raises ValueError if it is none, or for all the world without a token."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal():
        raise ValueError(f"{text!r} is no [HOST:]PORT")
    if not _is_loopback(host) and not os.environ.get(TOKEN_VARIABLE):
        raise ValueError(
            f"other machines reach {host}: set {TOKEN_VARIABLE}, which clients then send as a bearer token"
        )
    return host, int(port)


async def serve_http(server: MCPServer[Any], host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; says the address on standard error."""
    app: ASGIApp = server.streamable_http_app(streamable_http_path=PATH, host=host)
    if token := os.environ.get(TOKEN_VARIABLE):
        app = _Guarded(app, token)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        shown = f"[{host}]" if ":" in host else host
        sys.stderr.write(f"custody-mcp: http://{shown}:{listening.getsockname()[1]}{PATH}\n")
        sys.stderr.flush()
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_S)
        served = _Server(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, served.end)
        await served.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends and returns on a signal. The library's own raises the signal again, and so ends the process at once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals: `serve_http` does."""
        yield

    def end(self) -> None:
        """Begin to end; a second time, do not wait for requests under way."""
        self.force_exit = self.should_exit
        self.should_exit = True


class _Guarded:
    """Refuses requests without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and not hmac.compare_digest(given, self._expected):
            await PlainTextResponse("a bearer token is needed", status_code=401)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
