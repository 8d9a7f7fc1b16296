"""Resources: a task, its history and its hand-off."""

import json

import pytest
from mcp.shared.exceptions import MCPError

from custody_client import Client
from custody_mcp import asking
from tests.client.conftest import Place
from tests.custody_mcp.conftest import beside


async def test_a_task_and_its_history_and_its_hand_off(place: Place, client: Client) -> None:
    await client.submit(task_id="a/../b#7", title="Review", payload={"pull": 7})
    async with beside(place, "ada") as model:
        address = "custody://task/a%2F..%2Fb%237"
        assert "Do not work on it" in await model.read(f"{address}/handoff")
        await model.claimed()
        await model.call("report", percent=40, note="half", checkpoint={"file": 3})
        own = await model.read(f"{address}/handoff")
        assert "You hold task a/../b#7" in own
        assert '{"pull": 7}' in own
        assert '{"file": 3}' in own
        task = json.loads(await model.read(address))["task"]
        assert (task["agent_id"], task["percent"]) == ("ada", 40)
        await model.call("hand_over", notes="go on")
        assert 'Last note of agent ada: "go on"' in await model.read(f"{address}/handoff")
        history = (await model.read(f"{address}/history")).splitlines()
        names = [line.split()[2] for line in history[1:]]
        assert names[:2] == ["submitted", "leased"]
        assert names[-1] == "requeued"


async def test_a_long_history_is_read_in_parts(place: Place, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_EVENTS", 2)
    await client.submit(task_id="T1")
    async with beside(place, "ada") as model:
        await model.claimed()
        await model.call("report", percent=40)
        first = (await model.read("custody://task/T1/history")).splitlines()
        assert [line.split()[2] for line in first[1:3]] == ["submitted", "leased"]
        after = first[-1].rpartition("=")[2]
        rest = (await model.read(f"custody://task/T1/history?after={after}")).splitlines()
        assert rest[1].split()[2] == "progressed"


@pytest.mark.parametrize("what", ["", "/history", "/handoff"])
async def test_what_is_not_there_is_said(place: Place, what: str) -> None:
    async with beside(place, "ada") as model:
        with pytest.raises(MCPError, match=r"no such task|no task"):
            await model.read(f"custody://task/T9{what}")
