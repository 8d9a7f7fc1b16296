"""The MCP server of one agent, over standard input and output or over HTTP."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from mcp.server import MCPServer

from custody_client.address import capability_names, find_address, pool_name
from custody_client.limits import MAX_SLOTS
from custody_mcp import operator_tools, worker_tools
from custody_mcp.asking import Asking
from custody_mcp.desk import Desk
from custody_mcp.over_http import place, serve_http
from custody_mcp.resources import Resources

HTTP_IDLE_S = 600.0
"""A client over HTTP has no connection by whose end it is known to be gone."""


async def serve(options: argparse.Namespace) -> None:
    """Serve by the command line's options, until the client has gone or SIGTERM.

    Raises:
        ValueError: an option is out of range.
    """
    if not 1 <= options.slots <= MAX_SLOTS:
        raise ValueError(f"an agent has 1 to {MAX_SLOTS} slots, not {options.slots}")
    where = None if options.http is None else place(options.http)
    async with (worker if options.role == "worker" else operator)(options) as (server, end):
        if where is None:
            await _over_stdio(server, end)
        else:
            await serve_http(server, *where)


End = Callable[[], Awaitable[None]]
"""Ends what a server does, as leaving its context does."""


@asynccontextmanager
async def worker(options: argparse.Namespace) -> AsyncIterator[tuple[MCPServer[Any], End]]:
    """Yield the server of a worker, and what ends it."""
    find, pool = partial(find_address, options.nats), pool_name(options.pool)
    desk = Desk(
        find,
        pool,
        options.agent,
        capabilities=capability_names(options.capabilities),
        labels=["mcp"],
        slots=options.slots,
        idle_s=options.idle if options.idle or not options.http else HTTP_IDLE_S,
    )
    async with desk, Asking(find, pool, actor=options.agent) as asking:
        yield worker_server(desk, asking), desk.close


@asynccontextmanager
async def operator(options: argparse.Namespace) -> AsyncIterator[tuple[MCPServer[Any], End]]:
    """Yield the server of an operator, and what ends it."""

    async def nothing() -> None:
        return

    async with Asking(partial(find_address, options.nats), pool_name(options.pool), actor=options.agent) as asking:
        yield operator_server(asking), nothing


def worker_server(desk: Desk, asking: Asking) -> MCPServer[Any]:
    """Return the server of a worker."""
    server = _server(worker_tools.INSTRUCTIONS)
    worker_tools.WorkerTools(desk).add_to(server)
    Resources(asking, desk).add_to(server)
    return server


def operator_server(asking: Asking) -> MCPServer[Any]:
    """Return the server of an operator."""
    server = _server(operator_tools.INSTRUCTIONS)
    operator_tools.OperatorTools(asking).add_to(server)
    Resources(asking, None).add_to(server)
    return server


def _server(instructions: str) -> MCPServer[Any]:
    return MCPServer("custody", instructions=instructions, version=version("custody-client"), log_level="WARNING")


async def _over_stdio(server: MCPServer[Any], end: End) -> None:
    """Serve until standard input ends; on SIGTERM or SIGINT the tasks are given back, and the process ends."""
    ending: set[asyncio.Task[None]] = set()

    async def leave() -> None:
        await end()
        # The thread that reads standard input cannot be interrupted, and the interpreter would wait for it.
        os._exit(0)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: ending.add(asyncio.create_task(leave())))
    await server.run_stdio_async()
