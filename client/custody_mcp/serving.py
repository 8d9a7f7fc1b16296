"""The MCP server of one agent, over standard input and output or over HTTP."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from functools import partial
from importlib.metadata import version
from typing import Any

from mcp.server import MCPServer

from custody_client.address import capability_names, find_address, pool_name
from custody_client.limits import MAX_SLOTS
from custody_mcp.desk import Desk
from custody_mcp.worker_tools import INSTRUCTIONS, WorkerTools

HTTP_IDLE_S = 600.0
"""A client over HTTP has no connection by whose end it is known to be gone."""


async def serve(options: argparse.Namespace) -> None:
    """Serve by the command line's options, until the client has gone or SIGTERM.

    Raises:
        ValueError: an option is out of range.
    """
    if not 1 <= options.slots <= MAX_SLOTS:
        raise ValueError(f"an agent has 1 to {MAX_SLOTS} slots, not {options.slots}")
    desk = Desk(
        partial(find_address, options.nats),
        pool_name(options.pool),
        options.agent,
        capabilities=capability_names(options.capabilities),
        labels=["mcp"],
        slots=options.slots,
        idle_s=options.idle if options.idle or not options.http else HTTP_IDLE_S,
    )
    async with desk:
        await _over_stdio(worker_server(desk), desk)


def worker_server(desk: Desk) -> MCPServer[Any]:
    """Return the server of a worker."""
    server = _server(INSTRUCTIONS)
    WorkerTools(desk).add_to(server)
    return server


def _server(instructions: str) -> MCPServer[Any]:
    return MCPServer("custody", instructions=instructions, version=version("custody-client"), log_level="WARNING")


async def _over_stdio(server: MCPServer[Any], desk: Desk) -> None:
    """Serve until standard input ends; on SIGTERM or SIGINT the tasks are given back, and the process ends."""
    ending: set[asyncio.Task[None]] = set()

    async def end() -> None:
        await desk.close()
        # The thread that reads standard input cannot be interrupted, and the interpreter would wait for it.
        os._exit(0)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: ending.add(asyncio.create_task(end())))
    await server.run_stdio_async()
