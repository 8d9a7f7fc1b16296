"""What the page is told of the pool as it is: windows of tasks, one task, one agent, steals, statistics."""

import httpx
import pytest

from custody_dashboard.endpoints.now_endpoints import MAX_WINDOW
from handlers.follower.task_lists import LIST_AGE_S, LISTS_KEPT, TaskLists
from projections.live.task_rows import TaskFilter
from tests.custody_dashboard.conftest import Desk
from tests.support.cases import case
from tests.support.pool_harness import PoolHarness

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\u202eevil\u2066",
    "x" * 256,
    "a\nb\r\nevent: x",
    '"}]</script>',
    "🙂\u0000"[:1],
)


async def test_a_window_of_the_tasks_that_fit(desk: Desk, pool: PoolHarness) -> None:
    await pool.register("a1", capacity=3)
    for number in range(12):
        await pool.submit(f"T{number:02}", title=f"task {number}", labels=["even" if number % 2 == 0 else "odd"])
    await pool.assign("a1", "T03", "T05")
    await pool.advance(1)
    window = await desk.get("/api/tasks", offset=4, limit=3)
    assert (window["total"], window["offset"], window["position"]) == (12, 4, pool.position)
    assert [row["task_id"] for row in window["rows"]] == ["T04", "T05", "T06"]
    assert window["rows"][1]["agent_id"] == "a1"
    assert window["rows"][0]["waiting_because"]
    for parameters, found in (
        ({"status": "assigned"}, ["T03", "T05"]),
        ({"agent": "a1"}, ["T03", "T05"]),
        ({"label": "even", "desc": "1"}, ["T10", "T08", "T06", "T04", "T02", "T00"]),
        ({"q": "TASK 11"}, ["T11"]),
        ({"status": "queued", "label": "odd", "q": "t0"}, ["T01", "T07", "T09"]),
        ({"status": "completed"}, []),
        ({"offset": "100"}, []),
    ):
        with case(str(parameters)):
            window = await desk.get("/api/tasks", **parameters)
            assert [row["task_id"] for row in window["rows"]] == found


async def test_ended_tasks_are_listed_on_request(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1", "T2")
    await pool.given("ops.cancel", task_id="T1")
    await pool.advance(1)
    for status, found in (("live", ["T2"]), ("ended", ["T1"]), ("cancelled", ["T1"])):
        rows = (await desk.get("/api/tasks", status=status))["rows"]
        assert [row["task_id"] for row in rows] == found
    assert (await desk.get("/api/tasks"))["total"] == 1


async def test_a_list_is_sorted_at_most_every_half_second_for_each_filter(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    await pool.advance(1)
    first = await desk.get("/api/tasks", limit=1)
    await pool.submit("T2")
    await pool.advance(LIST_AGE_S / 2)
    again = await desk.get("/api/tasks", limit=1)
    assert (again["total"], again["position"]) == (1, first["position"])
    assert (await desk.get("/api/tasks", desc=1))["total"] == 2
    await pool.advance(LIST_AGE_S)
    assert (await desk.get("/api/tasks", limit=1))["total"] == 2


async def test_lists_that_are_kept_are_bounded(desk: Desk) -> None:
    lists = TaskLists(desk.watch.clock)
    for number in range(3 * LISTS_KEPT):
        lists.listed(TaskFilter(q=f"q{number}"), desk.watch.reading().state)
    assert len(lists) == LISTS_KEPT


async def test_a_task_with_its_story(desk: Desk, pool: PoolHarness) -> None:
    await pool.register("a1", "a2")
    await pool.submit("T1", title="Write it", payload={"pages": 3})
    token = await pool.assign("a1", "T1")
    await pool.given("agent.a1.progress", task_id="T1", token=token, percent=40, message="half of it")
    await pool.given("agent.a1.fail", task_id="T1", token=token, error="no ink")
    await pool.advance(600)
    second = await pool.assign("a2", "T1")
    await pool.advance(1)
    found = await desk.get("/api/task", id="T1")
    assert found["task"]["payload"] == {"pages": 3}
    assert found["row"]["status"] == "assigned"
    assert found["explain"]["headline"]
    assert [each["event"] for each in found["events"]] == [
        *("submitted", "leased", "progressed", "requeued", "leased"),
    ]
    assert all(each["what"] and "data" not in each for each in found["events"])
    first, latest = found["attempts"]
    assert (first["agent_id"], first["token"], first["percent"]) == ("a1", token, 40)
    assert (first["end"], first["why"]) == ("requeued", "no ink")
    assert (latest["agent_id"], latest["token"], latest["until"], latest["end"]) == ("a2", second, None, None)
    (handoff,) = found["handoffs"]
    assert (handoff["from_agent"], handoff["progress"], handoff["after"]) == ("a1", 40, "requeued")
    assert found["actions"] == ["revoke", "steal", "cancel"]
    lifecycle = found["lifecycle"]
    assert lifecycle["at"] == "assigned"
    assert ["queued", "assigned", ["leased"]] in lifecycle["transitions"]
    assert {"new", "unheld"}.isdisjoint(lifecycle["states"])
    assert all({source, target} <= {*lifecycle["states"]} for source, target, _ in lifecycle["transitions"])
    assert ["in_progress", "queued"] in [each[:2] for each in lifecycle["transitions"]], "by way of an expiry, say"


async def test_a_task_and_an_agent_that_left_memory_are_read_from_the_log(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    await pool.given("ops.cancel", task_id="T1", reason="no longer needed")
    await pool.given("agent.a1.deregister")
    await pool.advance(1)
    desk.watch.follower.memory.state.ended.recent.clear()
    task = await desk.get("/api/task", id="T1")
    assert task["task"]["status"] == "cancelled"
    assert task["attempts"][0]["why"] == "no longer needed"
    agent = await desk.get("/api/agent", id="a1")
    assert agent["row"] is None
    assert [each["kind"] for each in agent["events"]] == ["agent.registered", "agent.deregistered"]


async def test_an_agent_with_what_it_holds_and_did(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1", "T2", capacity=5)
    await pool.advance(1)
    found = await desk.get("/api/agent/a1")
    assert found["agent"]["capacity"] == 5
    assert found["row"]["held"] == 2
    assert {row["task_id"] for row in found["tasks"]} == {"T1", "T2"}
    assert {each["task_id"] for each in found["lane"]} == {"T1", "T2"}
    assert [each["kind"] for each in found["events"]] == ["agent.registered"]


async def test_steals_and_statistics(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1", "T2")
    await pool.register("a2")
    await pool.given("ops.steal", from_="a1", to="a2", count=1)
    await pool.advance(1)
    (steal,) = (await desk.get("/api/steals"))["steals"]
    assert (steal["plan"]["from_agent"], steal["plan"]["to_agent"], steal["status"]) == ("a1", "a2", "completed")
    found = await desk.get("/api/statistics")
    assert found["statistics"]["tasks"]["assigned"] == 2
    assert found["last_hour"]["granted"] == 2
    minute = found["series"]["minute"]
    assert sum(minute["submitted"]) == 2
    assert {len(column) for column in minute.values()} == {len(minute["at"])}


async def test_ids_may_be_anything_that_a_tasks_id_may_be(desk: Desk, pool: PoolHarness) -> None:
    for task_id in ("owner/repo#12", "a%2Fb", "?x=1&y", "..", "a.b", "<b>", '"\\', "~" * 128, "+"):
        with case(task_id):
            await pool.submit(task_id)
            await pool.advance(0.5)
            assert (await desk.get("/api/task", id=task_id))["task"]["task_id"] == task_id
            if task_id not in {"..", "a%2Fb"}:  # of a path, clients and servers make other ones of these
                quoted = "".join(f"%{ord(each):02X}" for each in task_id)
                answer = await desk.http.get(httpx.URL(f"http://127.0.0.1:4280/api/task/{quoted}"))
                assert answer.status_code == 200, answer.text


async def test_hostile_texts_arrive_as_they_are(desk: Desk, pool: PoolHarness) -> None:
    await pool.register("a1")
    for number, text in enumerate(HOSTILE):
        task_id = f"T{number}"
        await pool.submit(task_id, title=text, payload={text: [text]}, labels=[text[:64]])
        token = await pool.assign("a1", task_id)
        await pool.given("agent.a1.progress", task_id=task_id, token=token, percent=1, message=text)
        await pool.given("agent.a1.block", task_id=task_id, token=token, reason=text, question=text)
    await pool.advance(1)
    rows = {row["task_id"]: row for row in (await desk.get("/api/tasks"))["rows"]}
    needs = {each["task_id"]: each for each in desk.watch.view.needs.as_json()["items"]}
    for number, text in enumerate(HOSTILE):
        with case(text[:40]):
            assert rows[f"T{number}"]["title"] == text
            assert needs[f"T{number}"]["question"] == text
            answer = await desk.http.get("/api/task", params={"id": f"T{number}"})
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["task"]["payload"] == {text: [text]}


@pytest.mark.parametrize(
    ("path", "parameters", "status", "said"),
    [
        ("/api/tasks", {"limit": "0"}, 400, f"limit should be a whole number from 1 to {MAX_WINDOW}"),
        ("/api/tasks", {"limit": "501"}, 400, "limit should be a whole number"),
        ("/api/tasks", {"limit": "9" * 5000}, 400, "limit should be a whole number"),
        ("/api/tasks", {"offset": "-1"}, 400, "offset should be a whole number"),
        ("/api/tasks", {"offset": "1e3"}, 400, "offset should be a whole number"),
        ("/api/tasks", {"status": "lost"}, 400, "status should be one of"),
        ("/api/tasks", {"sort": "payload"}, 400, "sort should be one of"),
        ("/api/tasks", {"desc": "maybe"}, 400, "desc should be 1 or 0"),
        ("/api/tasks", {"q": "x" * 201}, 400, "q should have at most 200 characters"),
        ("/api/tasks", {"agent": "a b"}, 400, "agent 'a b' is not an agent's name"),
        ("/api/tasks", {"agnet": "a"}, 400, "unknown parameter 'agnet'; known here: agent, at, desc"),
        ("/api/tasks", {"limit": ["1", "2"]}, 400, "limit is given twice"),
        ("/api/tasks", {"position": "99999"}, 400, "position: position 99999 is past the end of the log"),
        ("/api/task", {}, 400, "name the task, as ?id="),
        ("/api/task", {"id": "ü"}, 400, "id 'ü' is not a task's id"),
        ("/api/task", {"id": "x" * 129}, 400, "is not a task's id"),
        ("/api/task", {"id": "none"}, 404, "no task none was submitted to this pool"),
        ("/api/task", {"id": "none", "position": "1"}, 404, "no task none was submitted by then"),
        ("/api/task/x", {"id": "y"}, 400, "not both"),
        ("/api/agent", {"id": "none"}, 404, "no agent none was registered in this pool"),
        ("/api/agent/a.b", {}, 400, "is not an agent's name"),
        ("/api/steals", {"limit": "1"}, 400, "unknown parameter 'limit'"),
        ("/api/none", {}, 404, "there is no such address"),
        ("/api", {}, 404, "there is no such address"),
        ("/none", {}, 404, "there is no such address"),
        ("/static/../app.py", {}, 404, "there is no such"),
        ("/static/%2e%2e/app.py", {}, 404, "there is no such"),
        ("/static/%00", {}, 404, "there is no such"),
        ("/static/", {}, 404, "there is no such"),
    ],
)
async def test_what_cannot_be_answered_is_said_in_words(
    desk: Desk, path: str, parameters: dict[str, str], status: int, said: str
) -> None:
    found, _, message = await desk.refused(path, **parameters)
    assert (found, said in message) == (status, True), message
