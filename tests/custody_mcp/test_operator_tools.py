"""The tools of an operator, with the SDK's own client, at a real service."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from custody_client import Client, NoAnswerError
from custody_client.link import Link
from custody_mcp import asking
from custody_mcp.unanswered import KEPT_S, MAX_KEPT, Unanswered
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
        assert "Make exactly this call again" in await model.refused("submit", title="x", task_id="T1")
        assert "Custody gives no answer now" in await model.refused("find")


class Lossy:
    """Loses the answers to what is sent while it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.losing = True
        request = Link.request

        async def lossy(link: Link, *given: Any, **options: Any) -> Any:
            message = await request(link, *given, **options)
            if self.losing:
                raise NoAnswerError("the answer was lost")
            return message

        monkeypatch.setattr(Link, "request", lossy)
        monkeypatch.setattr(asking, "ANSWER_S", 0.2)


async def test_a_call_made_again_because_its_answer_was_lost_is_done_once(
    place: Place, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = {"do": "annotate", "task_id": "T1", "text": "look here"}
    await client.submit(task_id="T1")
    async with beside(place, *OPERATOR) as model:
        await model.call("find")  # it has its connection: each command is sent at once
        with losing_answers(monkeypatch):
            assert "it is not done twice" in await model.refused("act", **note)
            assert "it is not done twice" in await model.refused("submit", title="Review")
        await model.call("act", **note)
        first = await model.call("submit", title="Review")
        rows = (await model.call("find"))["rows"]
        assert {row["task_id"] for row in rows} == {"T1", first["task_id"]}
        assert first["was"] == "new"
        assert (await model.read("custody://task/T1/history")).count(" noted ") == 1
        # After an answer, the same call is a new wish.
        await model.call("act", **note)
        assert (await model.call("submit", title="Review"))["task_id"] != first["task_id"]
        assert (await model.read("custody://task/T1/history")).count(" noted ") == 2


async def test_a_revoke_made_again_takes_nothing_from_the_next_holder(
    place: Place, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.submit(task_id="T1")
    async with beside(place, "ada") as ada, beside(place, *OPERATOR) as model:
        await ada.claimed()
        await model.call("find")  # it has its connection: the command is sent at once
        with losing_answers(monkeypatch):
            await model.refused("act", do="revoke", task_id="T1")
        while (await ada.call("my_work"))["work"]:
            pass
        work = await ada.claimed(wait_s=15)
        await model.call("act", do="revoke", task_id="T1")
        assert work["attempt"] == 2
        assert (await client.task("T1").state()).agent_id == "ada"
        assert (await ada.call("finish"))["status"] == "completed"


def test_a_call_that_the_client_gave_up_is_the_same_command_when_it_is_made_again() -> None:
    unanswered = Unanswered()
    lost, given_up, answered, after = (
        sent(unanswered, NoAnswerError("lost"), agent_id="a", reason="r"),
        sent(unanswered, asyncio.CancelledError(), reason="r", agent_id="a"),
        sent(unanswered, agent_id="a", reason="r"),
        sent(unanswered, agent_id="a", reason="r"),
    )
    assert lost == given_up == answered != after


def test_what_had_no_answer_long_ago_is_a_new_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("custody_mcp.unanswered.steady_s", lambda: now)
    unanswered = Unanswered()
    first = sent(unanswered, NoAnswerError("lost"))
    now += KEPT_S
    assert sent(unanswered, NoAnswerError("lost")) != first


def test_of_what_had_no_answer_the_latest_are_kept() -> None:
    unanswered = Unanswered()
    ids = [sent(unanswered, NoAnswerError("lost"), agent_id=f"a{number}") for number in range(MAX_KEPT + 1)]
    assert sent(unanswered, agent_id=f"a{MAX_KEPT}") == ids[-1]
    assert sent(unanswered, agent_id="a0") != ids[0]


def sent(unanswered: Unanswered, error: BaseException | None = None, **fields: str) -> str:
    """Send a pause that ends so, and return the id that it had."""
    command_id = ""
    with contextlib.suppress(NoAnswerError, asyncio.CancelledError), unanswered.command_id("pause", fields) as given:
        command_id = given
        if error is not None:
            raise error
    return command_id


@contextmanager
def losing_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have each command carried out within, and its answer lost."""
    request = Link.request

    async def lossy(link: Link, *given: Any, **options: Any) -> Any:
        await request(link, *given, **options)
        raise NoAnswerError("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(Link, "request", lossy)
        patched.setattr(asking, "ANSWER_S", 0.2)
        yield
