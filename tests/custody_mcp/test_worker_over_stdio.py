"""A worker over MCP, with the SDK's own client over standard input and output, at a real service."""

import asyncio

import pytest

from custody_client import Client
from tests.client.conftest import Place
from tests.custody_mcp.conftest import connected

pytestmark = pytest.mark.system
RESULT_S = 15.0


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


async def test_no_work_is_no_error(place: Place) -> None:
    async with connected(place) as model:
        answer = await model.call("claim_work")
        assert answer["work"] is None
        assert "no work" in answer["note"]


async def test_a_claim_waits_for_work(place: Place, client: Client) -> None:
    async with connected(place) as model:
        claiming = asyncio.create_task(model.claimed(wait_s=15))
        while not (await client.query("health"))["waiting_claims"]:
            pass
        await client.submit(task_id="T1")
        assert (await claiming)["task_id"] == "T1"


async def test_a_task_is_given_up(place: Place, client: Client) -> None:
    task = await client.submit(task_id="T1")
    async with connected(place) as model:
        await model.claimed()
        ended = await model.call("give_up", error="no such file", retryable=False)
        assert ended["status"] == "failed"
    state = await task.state()
    assert state.outcome is not None
    assert state.outcome.detail == "no such file"


async def test_the_next_holder_has_notes_and_checkpoint(place: Place, client: Client) -> None:
    await client.submit(task_id="T1", payload={"pages": 9})
    async with connected(place, "ada") as ada:
        await ada.claimed()
        await ada.call("report", percent=30, note="three pages done")
        await ada.call("hand_over", notes="page 4 is half done, on branch p4", checkpoint={"page": 4})
    async with connected(place, "bob") as bob:
        work = await bob.claimed()
        assert (work["attempt"], work["progress"], work["checkpoint"]) == (2, 30, {"page": 4})
        assert 'Last note of agent ada: "page 4 is half done, on branch p4"' in work["briefing"]


async def test_the_answer_of_a_person_comes_with_the_next_hand_off(place: Place, client: Client) -> None:
    task = await client.submit(task_id="T1")
    async with connected(place) as model:
        await model.claimed()
        assert (await model.call("ask_human", question="Which port?"))["status"] == "blocked"
        assert (await task.state()).question == "Which port?"
        assert (await model.call("my_work"))["work"] == []
        await client.act("unblock", task_id="T1", answer="8080")
        briefing = (await model.claimed())["briefing"]
        assert 'A question was asked: "Which port?"' in briefing
        assert 'A person answered: "8080"' in briefing


async def test_the_end_of_the_client_gives_its_task_back(place: Place, client: Client) -> None:
    task = await client.submit(task_id="T1")
    async with connected(place) as model:
        await model.claimed()
        await model.call("report", percent=20, note="begun", checkpoint=2)
    state = await place.until("T1", "queued")
    assert state["handoff"]["last_checkpoint"] == 2
    assert (await task.state()).expiries == 0


async def test_a_lost_task_is_refused_in_words_and_the_agent_goes_on_with_another(place: Place, client: Client) -> None:
    first = await client.submit(task_id="T1")
    async with connected(place) as model:
        await model.claimed()
        await first.cancel("not needed")
        said = await model.refused("report", percent=50)
        assert "T1 has ended: it is cancelled" in said
        assert "Stop working on it" in said
        await client.submit(task_id="T2")
        assert (await model.claimed())["task_id"] == "T2"
        await model.call("report", percent=10)


async def test_what_is_meant_for_a_lost_task_reaches_no_other(place: Place, client: Client) -> None:
    first = await client.submit(task_id="T1")
    second = await client.submit(task_id="T2", not_before=None)
    async with connected(place) as model:
        assert (await model.claimed())["task_id"] == "T1"
        await client.act("revoke", task_id="T1")
        await client.act("pause", agent_id="ada")
        await first.cancel()
        await client.act("resume", agent_id="ada")
        await client.act("assign", task_id="T2", agent_id="ada")
        assert "Stop working on it" in await model.refused("finish", result="of T1")
        assert (await second.state()).status == "assigned"
        assert (await model.claimed())["task_id"] == "T2"


async def test_who_has_the_task_now_is_said(place: Place, client: Client) -> None:
    await client.submit(task_id="T1")
    async with connected(place, "ada") as ada, connected(place, "bob") as bob:
        await ada.claimed()
        await client.act("revoke", task_id="T1")
        token = None
        while token is None:
            await bob.call("claim_work")
            state = await place.ask.task("T1")
            token = state["token"] if state["agent_id"] == "bob" else None
        said = await ada.refused("report", percent=10)
        assert f"Agent bob holds T1 under token {token} since 2" in said
