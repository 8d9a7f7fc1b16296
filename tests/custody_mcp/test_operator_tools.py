"""The tools of an operator, with the SDK's own client, at a real service."""

import pytest

from custody_client import Client
from custody_mcp import asking
from tests.client.conftest import Place
from tests.custody_mcp.conftest import beside

OPERATOR = ("desk", "--role", "operator")


async def test_a_task_is_submitted_found_and_explained(place: Place) -> None:
    async with beside(place, *OPERATOR) as model:
        submitted = await model.call("submit", title="Review", payload={"pull": 7}, kind="review", task_id="a/b#7")
        assert submitted == {"task_id": "a/b#7", "was": "new"}
        again = await model.call("submit", title="Review", payload={"pull": 7}, kind="review", task_id="a/b#7")
        assert again["was"] == "known"
        rows = (await model.call("find", status="queued"))["rows"]
        assert [(row["task_id"], row["title"]) for row in rows] == [("a/b#7", "Review")]
        explained = await model.call("explain", task_id="a/b#7")
        assert explained["status"] == "queued"
        assert explained["why"]
        assert "another task" in await model.refused("submit", title="Other", task_id="a/b#7")


async def test_it_is_on_record_who_acted(place: Place, client: Client) -> None:
    async with beside(place, *OPERATOR) as model:
        task_id = (await model.call("submit", title="Review"))["task_id"]
        await model.call("act", do="cancel", task_id=task_id, text="not needed")
    outcome = (await client.task(task_id).state()).outcome
    assert outcome is not None
    assert (outcome.by, outcome.detail) == ("ops/desk", "not needed")


async def test_a_question_of_an_agent_is_answered(place: Place, client: Client) -> None:
    await client.submit(task_id="T1")
    async with beside(place, "ada") as ada, beside(place, *OPERATOR) as operator:
        await ada.claimed()
        await ada.call("ask_human", question="Which port?")
        assert (await operator.call("explain", task_id="T1"))["question"] == "Which port?"
        await operator.call("act", do="unblock", task_id="T1", text="8080")
        assert 'A person answered: "8080"' in (await ada.claimed())["briefing"]


async def test_pages_and_other_views(place: Place, client: Client) -> None:
    for number in range(3):
        await client.submit(task_id=f"T{number}", labels=["x"])
    async with beside(place, "ada") as ada, beside(place, *OPERATOR) as operator:
        await ada.claimed()
        first = await operator.call("find", label="x", limit=2)
        assert [row["task_id"] for row in first["rows"]] == ["T0", "T1"]
        second = await operator.call("find", label="x", limit=2, after=first["next"])
        assert [row["task_id"] for row in second["rows"]] == ["T2"]
        assert [row["task_id"] for row in (await operator.call("find", what="backlog"))["rows"]] == ["T1", "T2"]
        assert [row["agent_id"] for row in (await operator.call("find", what="agents"))["rows"]] == ["ada"]
        assert [row["task_id"] for row in (await operator.call("find", what="leases", agent_id="ada"))["rows"]] == [
            "T0"
        ]


async def test_agents_and_the_pool_are_paused_and_resumed(place: Place, client: Client) -> None:
    await client.submit(task_id="T1")
    async with beside(place, "ada") as ada, beside(place, *OPERATOR) as operator:
        await ada.call("my_work")
        for about in ("ada", "*"):
            await operator.call("act", do="pause", agent_id=about)
            assert "paused" in await ada.refused("claim_work")
            await operator.call("act", do="resume", agent_id=about)
        assert (await ada.claimed())["task_id"] == "T1"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"do": "cancel"}, "cancel needs task_id"),
        ({"do": "pause"}, "pause needs agent_id; * is the whole pool"),
        ({"do": "cancel", "task_id": "T9"}, "There is no such task"),
        ({"do": "block", "task_id": "T1"}, "block needs text"),
        ({"do": "requeue", "task_id": "T1"}, "explain says how it is"),
        ({"do": "drain", "agent_id": "nobody"}, "There is no such agent"),
    ],
)
async def test_a_refusal_says_what_to_do(place: Place, client: Client, call: dict[str, str], said: str) -> None:
    await client.submit(task_id="T1")
    async with beside(place, *OPERATOR) as model:
        assert said in await model.refused("act", **call)


async def test_of_what_got_no_answer_it_is_said_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_S", 0.05)
    async with beside(Place("nats://127.0.0.1:1", "p", None), *OPERATOR) as model:  # type: ignore[arg-type]
        assert "submit with task_id T1 again" in await model.refused("submit", title="x", task_id="T1")
        assert "Custody gives no answer now" in await model.refused("find")
