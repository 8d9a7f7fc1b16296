"""A worker over streamable HTTP."""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp.client import Client as McpClient
from mcp.client.streamable_http import streamable_http_client

from custody_client import Client
from custody_mcp.over_http import place as place_of
from tests.client.conftest import Place
from tests.custody_mcp.conftest import Model, environment

pytestmark = pytest.mark.system


@asynccontextmanager
async def served(place: Place, *options: str, token: str | None = None) -> AsyncIterator[tuple[str, Process]]:
    """The server of ada as a process, and its address."""
    command = ("-m", "custody_mcp.cli", "--agent", "ada", "--http", "0", *options)
    known = environment(place) | ({"CUSTODY_MCP_TOKEN": token} if token else {})
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=known, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            said = (await process.stderr.readline()).decode()
        assert said.startswith("custody-mcp: http://127.0.0.1:"), said
        yield said.split()[1], process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_task_is_worked_on_over_http_in_both_forms_of_the_protocol(place: Place, client: Client) -> None:
    task = await client.submit(task_id="T1")
    async with served(place) as (url, process):
        async with McpClient(url) as mcp:
            work = await Model(mcp).claimed()
            assert work["task_id"] == "T1"
            await Model(mcp).call("report", percent=40)
        async with McpClient(url, mode="legacy") as mcp:
            # Another connection of the client: the task is still the agent's.
            assert [each["task_id"] for each in (await Model(mcp).call("my_work"))["work"]] == ["T1"]
            assert (await Model(mcp).call("finish", result=1))["status"] == "completed"
        assert await task.result(60) == 1
        await client.submit(task_id="T2")
        async with McpClient(url) as mcp:
            assert (await Model(mcp).claimed())["task_id"] == "T2"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.wait()
    assert (await place.until("T2", "queued"))["releases"] == 1


async def test_without_the_token_nothing_is_answered(place: Place) -> None:
    async with served(place, token="secret") as (url, _):
        async with httpx2.AsyncClient() as plain:
            assert (await plain.post(url, json={})).status_code == 401
        async with (
            httpx2.AsyncClient(headers={"Authorization": "Bearer secret"}) as known,
            McpClient(streamable_http_client(url, http_client=known)) as mcp,
        ):
            assert (await Model(mcp).call("my_work"))["work"] == []


def test_other_machines_need_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUSTODY_MCP_TOKEN", raising=False)
    assert place_of("8000") == ("127.0.0.1", 8000)
    assert place_of("[::1]:8000") == ("::1", 8000)
    with pytest.raises(ValueError, match="CUSTODY_MCP_TOKEN"):
        place_of("198.51.100.7:8000")
    with pytest.raises(ValueError, match=r"no \[HOST:\]PORT"):
        place_of("here")
    monkeypatch.setenv("CUSTODY_MCP_TOKEN", "secret")
    assert place_of("198.51.100.7:8000") == ("198.51.100.7", 8000)
