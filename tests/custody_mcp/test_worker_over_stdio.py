"""A worker over MCP, with the SDK's own client over standard input and output, at a real service."""

import pytest

from custody_client import Client
from tests.client.conftest import Place
from tests.custody_mcp.conftest import connected

pytestmark = pytest.mark.system
RESULT_S = 60.0


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_task_is_claimed_reported_and_finished(place: Place, client: Client, mode: str) -> None:
    task = await client.submit("review", {"pull": 7}, task_id="T1", title="Review pull request 7")
    async with connected(place, "ada", "--capability", "review", mode=mode) as model:
        work = await model.claimed()
        assert (work["task_id"], work["attempt"], work["payload"]) == ("T1", 1, {"pull": 7})
        assert '"Review pull request 7"' in work["briefing"]
        reported = await model.call("report", percent=40, note="read half", checkpoint={"file": 3})
        assert reported["hand_over"] is False
        assert (await task.state()).percent == 40
        await model.call("quiet", for_s=60, why="the tests run")
        assert (await model.call("finish", result={"verdict": "good"}))["status"] == "completed"
        assert (await model.call("my_work"))["work"] == []
    assert await task.result(RESULT_S) == {"verdict": "good"}


async def test_the_end_of_the_client_gives_its_task_back(place: Place, client: Client) -> None:
    task = await client.submit(task_id="T1")
    async with connected(place) as model:
        await model.claimed()
        await model.call("report", percent=20, note="begun", checkpoint=2)
    state = await place.until("T1", "queued")
    assert state["handoff"]["last_checkpoint"] == 2
    assert (await task.state()).expiries == 0
