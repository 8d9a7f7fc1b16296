"""The tools of a worker, with the SDK's own client in this process, at a real service."""

import asyncio
from typing import Any

import pytest

from custody_client import Client, Retry
from custody_mcp import at_hand, desk, told
from tests.client.conftest import KEPT, SHORT, Place
from tests.custody_mcp.conftest import beside


async def test_no_work_is_no_error(place: Place) -> None:
    async with beside(place) as model:
        answer = await model.call("claim_work")
        assert answer["work"] is None
        assert "no work" in answer["note"]


async def test_a_claim_waits_for_work(place: Place, client: Client) -> None:
    async with beside(place) as model:
        claiming = asyncio.create_task(model.claimed(wait_s=15))
        while not (await client.query("health"))["waiting_claims"]:
            pass
        await client.submit(task_id="T1")
        assert (await claiming)["task_id"] == "T1"


async def test_a_task_is_given_up(place: Place, client: Client) -> None:
    task = await client.submit(task_id="T1")
    async with beside(place) as model:
        await model.claimed()
        ended = await model.call("give_up", error="no such file", retryable=False)
        assert ended["status"] == "failed"
    state = await task.state()
    assert state.outcome is not None
    assert state.outcome.detail == "no such file"


async def test_the_next_holder_has_notes_and_checkpoint(place: Place, client: Client) -> None:
    await client.submit(task_id="T1", payload={"pages": 9})
    async with beside(place, "ada") as ada:
        await ada.claimed()
        await ada.call("report", percent=30, note="three pages done")
        await ada.call("hand_over", notes="page 4 is half done, on branch p4", checkpoint={"page": 4})
    async with beside(place, "bob") as bob:
        work = await bob.claimed()
        assert (work["attempt"], work["progress"], work["checkpoint"]) == (2, 30, {"page": 4})
        assert 'Last note of agent ada: "page 4 is half done, on branch p4"' in work["briefing"]


async def test_the_answer_of_a_person_comes_with_the_next_hand_off(place: Place, client: Client) -> None:
    task = await client.submit(task_id="T1")
    async with beside(place) as model:
        await model.claimed()
        assert (await model.call("ask_human", question="Which port?"))["status"] == "blocked"
        assert (await task.state()).question == "Which port?"
        assert (await model.call("my_work"))["work"] == []
        await client.act("unblock", task_id="T1", answer="8080")
        briefing = (await model.claimed())["briefing"]
        assert 'A question was asked: "Which port?"' in briefing
        assert 'A person answered: "8080"' in briefing


async def test_a_lost_task_is_refused_in_words_and_the_agent_goes_on_with_another(place: Place, client: Client) -> None:
    first = await client.submit(task_id="T1")
    async with beside(place) as model:
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
    async with beside(place) as model:
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
    async with beside(place, "ada") as ada, beside(place, "bob") as bob:
        await ada.claimed()
        await client.act("revoke", task_id="T1")
        token = None
        while token is None:
            await bob.call("claim_work")
            state = await place.ask.task("T1")
            token = state["token"] if state["agent_id"] == "bob" else None
        said = await ada.refused("report", percent=10)
        assert f"Agent bob holds T1 under token {token} since 2" in said


async def test_a_task_that_was_assigned_is_shown_and_comes_with_the_next_claim(place: Place, client: Client) -> None:
    async with beside(place, "ada", "--slots", "2") as model:
        await model.call("my_work")
        for task_id in ("T1", "T2"):
            await client.submit(task_id=task_id)
            await client.act("assign", task_id=task_id, agent_id="ada")
        assert [each["task_id"] for each in (await model.call("my_work"))["work"]] == ["T1", "T2"]
        assert "already" in await model.refused("claim_work")


async def test_one_of_several_tasks_has_to_be_named(place: Place, client: Client) -> None:
    for task_id in ("T1", "T2"):
        await client.submit(task_id=task_id)
    async with beside(place, "ada", "--slots", "2") as model:
        await model.claimed()
        await model.claimed()
        assert "Say which task with task_id: T1, T2." in await model.refused("finish")
        assert "You hold no task T3. You hold T1, T2" in await model.refused("finish", task_id="T3")
        assert (await model.call("finish", task_id="T2"))["status"] == "completed"
        assert (await model.call("finish"))["task_id"] == "T1"
        assert "You hold no task. Call claim_work" in await model.refused("finish")


async def test_an_agent_that_drains_is_asked_to_hand_over(place: Place, client: Client) -> None:
    await client.submit(task_id="T1", lease=KEPT)
    async with beside(place) as model:
        await model.claimed()
        await client.act("drain", agent_id="ada")
        while not (reported := await model.call("report", percent=50))["hand_over"]:
            pass
        assert "call hand_over" in reported["note"]
        assert "call hand_over" in (await model.call("my_work"))["notes"][0]
        assert (await model.call("hand_over", notes="half of it"))["status"] == "queued"


async def test_a_result_that_came_late_counts_until_the_task_is_granted_again(place: Place, client: Client) -> None:
    task = await client.submit(task_id="T1", lease=SHORT, retry=Retry(delay_s=60))
    async with beside(place, "ada", "--idle", "100ms") as model:
        await model.claimed()
        await client.act("pause")
        await place.until("T1", "queued")
        assert (await model.call("finish", result="late"))["status"] == "completed"
    assert await task.result(60) == "late"


async def test_a_client_that_calls_nothing_loses_its_task_when_that_is_limited(place: Place, client: Client) -> None:
    await client.submit(task_id="T1", lease=SHORT)
    async with beside(place, "ada", "--idle", "100ms") as model:
        await model.claimed()
        await client.act("pause")
        await place.until("T1", "queued")
        said = await model.refused("report", percent=10, note="still here")
        assert "You do not hold T1 any more; it is queued now. Stop working on it" in said
        state = await place.ask.task("T1")
        assert state["former_leases"][0]["late_reports"] == 1


async def test_without_a_limit_the_process_keeps_the_task(place: Place, client: Client) -> None:
    await client.submit(task_id="T1", lease=KEPT)
    async with beside(place) as model:
        await model.claimed()
        await place.until("T1", lambda task: task["lease"]["renewals"] >= 3)
        await model.call("finish")


async def test_work_that_a_client_did_not_wait_for_goes_back(place: Place, client: Client) -> None:
    async with beside(place) as model:
        claiming = asyncio.create_task(model.claimed(wait_s=15))
        while not (await client.query("health"))["waiting_claims"]:
            pass
        claiming.cancel()
        await asyncio.wait([claiming])
        await client.submit(task_id="T1")
        state = await place.until("T1", lambda task: task["releases"] == 1)
        assert state["status"] == "queued"


async def test_a_result_without_an_answer_is_sent_on_and_told_later(
    place: Place, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await client.submit(task_id="T1")
    async with beside(place) as model:
        await model.claimed()
        monkeypatch.setattr(at_hand, "CALL_S", 0.0)
        assert "It is asked again in the background" in await model.refused("finish", result=7)
        assert await task.result(60) == 7
        while "T1 is completed now, as you asked before." not in (notes := (await model.call("my_work"))["notes"])[0]:
            pass
        assert notes[0].endswith("You hold it no more.")


async def test_a_result_that_is_too_large_can_be_made_smaller(place: Place, client: Client) -> None:
    await client.submit(task_id="T1")
    async with beside(place) as model:
        await model.claimed()
        assert "Write it to a file" in await model.refused("finish", result="x" * 70_000)
        assert (await model.call("finish", result="in out.txt"))["status"] == "completed"


async def test_a_second_process_of_the_name_ends_the_first(place: Place, client: Client) -> None:
    await client.submit(task_id="T1")
    async with beside(place) as first:
        await first.claimed()
        await first.call("report", percent=30, note="a third", checkpoint=[1, 2])
        async with beside(place) as second:
            work = (await second.call("my_work"))["work"]
            assert [(each["task_id"], each["progress"], each["checkpoint"]) for each in work] == [("T1", 30, [1, 2])]
            assert 'your last note: "a third"' in work[0]["briefing"]
            while "Stop working on every task" not in await first.refused("claim_work"):
                pass  # it has not heard of the second one yet
            assert (await second.call("finish"))["status"] == "completed"


async def test_no_call_takes_longer_than_is_promised(
    place: Place, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told.LIMIT_S < 25
    async with beside(place) as model:
        await model.call("my_work")
        monkeypatch.setattr(told, "LIMIT_S", 0.5)
        # A call may be over before its claim was sent.
        while not (await client.query("health"))["waiting_claims"]:
            assert "no answer in 0.5 s" in await model.refused("claim_work", wait_s=20)
        await client.submit(task_id="T1")
        assert (await place.until("T1", lambda task: task["releases"] == 1))["status"] == "queued"


async def test_without_a_broker_each_call_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "OPEN_S", 0.05)
    async with beside(Place("nats://127.0.0.1:1", "p", Any)) as model:  # type: ignore[arg-type]
        said = await model.refused("claim_work")
        assert "Custody gives no answer now" in said
        assert "call the tool again" in said
