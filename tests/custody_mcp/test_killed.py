"""A server of an agent that is killed, or told to end, in the middle of a task."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp.client import Client as McpClient
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

from custody_client import Client
from tests.client.conftest import Place
from tests.custody_mcp.conftest import Model, connected, environment

pytestmark = pytest.mark.system

START = """
import os, sys
from pathlib import Path
Path(sys.argv[1]).write_text(str(os.getpid()))
from custody_mcp.cli import main
sys.exit(main(["--agent", "ada"]))
"""


@asynccontextmanager
async def to_be_ended(place: Place, pid_file: Path) -> AsyncIterator[tuple[Model, int]]:
    """A client at the server of ada, and the server's process id."""
    server = StdioServerParameters(command=sys.executable, args=["-c", START, str(pid_file)], env=environment(place))
    async with McpClient(server) as client:
        yield Model(client), _pid(pid_file)


def _pid(file: Path) -> int:
    return int(file.read_text())


async def test_after_a_kill_the_next_process_goes_on_under_the_same_lease(
    place: Place, client: Client, tmp_path: Path
) -> None:
    task = await client.submit(task_id="T1")
    await client.submit(task_id="T2")
    async with to_be_ended(place, tmp_path / "pid") as (model, pid):
        await model.claimed()
        await model.call("report", percent=40, note="half of the files", checkpoint={"file": 3})
        before = await place.ask.task("T1")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(MCPError):
            await model.call("report", percent=50)
    async with connected(place) as model:
        work = (await model.call("my_work"))["work"]
        assert [(each["task_id"], each["attempt"], each["checkpoint"]) for each in work] == [("T1", 1, {"file": 3})]
        assert 'your last note: "half of the files"' in work[0]["briefing"]
        assert "T1" in await model.refused("claim_work")
        await model.call("report", percent=60)
        after = await place.ask.task("T1")
        assert (after["token"], after["status"]) == (before["token"], "in_progress")
        assert (await model.call("finish", result="ok"))["task_id"] == "T1"
    assert await task.result(60) == "ok"
    assert (await client.task("T2").state()).status == "queued"


async def test_after_a_kill_while_it_waited_for_work_nothing_is_left_behind(
    place: Place, client: Client, tmp_path: Path
) -> None:
    async with to_be_ended(place, tmp_path / "pid") as (model, pid):
        claiming = asyncio.create_task(model.call("claim_work", wait_s=20))
        while not (await client.query("health"))["waiting_claims"]:
            pass
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(MCPError):
            await claiming
    async with connected(place) as model:
        assert (await model.call("my_work"))["work"] == []
        await client.submit(task_id="T1")
        assert (await model.claimed())["attempt"] == 1


async def test_a_server_that_is_told_to_end_gives_its_task_back(place: Place, client: Client, tmp_path: Path) -> None:
    await client.submit(task_id="T1")
    async with to_be_ended(place, tmp_path / "pid") as (model, pid):
        await model.claimed()
        await model.call("report", percent=40, note="half", checkpoint=5)
        os.kill(pid, signal.SIGTERM)
        state = await place.until("T1", "queued")
        assert (state["releases"], state["handoff"]["last_checkpoint"]) == (1, 5)


async def test_a_server_that_stood_still_for_longer_than_its_lease_says_who_has_the_task(
    place: Place, client: Client, tmp_path: Path
) -> None:
    await client.submit(task_id="T1", lease={"mode": "fixed", "lease_s": 1.5, "grace_s": 1.5})
    async with to_be_ended(place, tmp_path / "pid") as (model, pid):
        await model.claimed()
        os.kill(pid, signal.SIGSTOP)
        try:
            async with connected(place, "bob") as bob:
                assert (await bob.claimed(wait_s=20))["task_id"] == "T1"
                os.kill(pid, signal.SIGCONT)
                assert "Agent bob holds T1 under token" in await model.refused("finish", result="stale")
                assert (await bob.call("finish", result="of bob"))["status"] == "completed"
        finally:
            os.kill(pid, signal.SIGCONT)
    assert await client.task("T1").result(60) == "of bob"
