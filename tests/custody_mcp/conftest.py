"""MCP clients of the SDK at `custody-mcp`: in this process, and as a process of its own, beside a real service."""

import argparse
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.client import Client as McpClient
from mcp.client.stdio import StdioServerParameters
from mcp_types import TextContent, TextResourceContents

from custody_mcp.cli import parser
from custody_mcp.serving import operator, worker
from tests.client.conftest import Place, client, place

__all__ = ["Place", "client", "place"]


class Model:
    """What a language model sees of its tools."""

    def __init__(self, client: McpClient) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that does what it is asked; return its structured answer."""
        answered = await self.client.call_tool(tool, arguments)
        assert not answered.is_error, answered.content
        assert answered.structured_content is not None
        return dict(answered.structured_content)

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that cannot do what it is asked; return what the model is told."""
        answered = await self.client.call_tool(tool, arguments)
        assert answered.is_error, answered.content
        assert isinstance(answered.content[0], TextContent)
        return answered.content[0].text

    async def claimed(self, **arguments: Any) -> dict[str, Any]:
        """Claim a task that is there."""
        work = (await self.call("claim_work", **arguments))["work"]
        assert work is not None
        return dict(work)

    async def read(self, uri: str) -> str:
        """Read a resource."""
        content = (await self.client.read_resource(uri)).contents[0]
        assert isinstance(content, TextResourceContents)
        return content.text


def environment(place: Place) -> dict[str, str]:
    """What a process has to find the pool."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CUSTODY_")}
    return {**kept, "CUSTODY_NATS": place.url, "CUSTODY_POOL": place.pool}


def started(place: Place, agent: str, *options: str) -> StdioServerParameters:
    """How an MCP client starts the server of an agent."""
    command = ["-m", "custody_mcp.cli", "--agent", agent, *options]
    return StdioServerParameters(command=sys.executable, args=command, env=environment(place))


@asynccontextmanager
async def connected(place: Place, agent: str = "ada", *options: str, mode: str = "auto") -> AsyncIterator[Model]:
    """An MCP client at its server, over standard input and output; the server ends with it."""
    async with McpClient(started(place, agent, *options), mode=mode) as client:
        yield Model(client)


@asynccontextmanager
async def beside(place: Place, agent: str = "ada", *options: str) -> AsyncIterator[Model]:
    """An MCP client at its server in this process."""
    given: argparse.Namespace = parser().parse_args(
        ["--agent", agent, "--nats", place.url, "--pool", place.pool, *options]
    )
    async with (worker if given.role == "worker" else operator)(given) as (server, _), McpClient(server) as client:
        yield Model(client)
