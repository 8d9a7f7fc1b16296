"""What agents may ask for, each verb with each of its fields, as another program would ask."""

from datetime import timedelta

import pytest

from tests.support.contract import LEASE_FIELDS
from tests.system.caller import Caller
from tests.system.streams import moment
from tests.system.test_contract_waiting import waiting

pytestmark = pytest.mark.system


async def test_register_takes_every_field_and_updates(ask: Caller) -> None:
    reply = await ask.ask(
        "agent.a-1_Z.register", capabilities=["gpu", "py"], priority=2.5, capacity=500, labels=["eu", "spot"]
    )
    assert (reply.events, reply.result) == (["agent.registered"], {"leases": [], "directives": []})
    agent = (await ask.done("query.agents", agent_id="a-1_Z"))["agents"][0]
    assert (agent["capabilities"], agent["priority"], agent["capacity"]) == (["gpu", "py"], 2.5, 500)
    assert (agent["labels"], agent["status"]) == (["eu", "spot"], "live")
    await ask.done("agent.a-1_Z.register")
    agent = (await ask.done("query.agents", agent_id="a-1_Z"))["agents"][0]
    assert (agent["capabilities"], agent["priority"], agent["capacity"], agent["labels"]) == ([], 1, 1, [])


async def test_another_session_is_another_life(ask: Caller) -> None:
    await ask.done("agent.a1.register", session="s1", capacity=5)
    await ask.done("ops.submit", task_id="T1")
    lease = (await ask.done("agent.a1.claim", session="s1"))["leases"][0]
    claim = await waiting(ask, session="s1")

    again = await ask.done("agent.a1.register", session="s2", capacity=5)
    assert [(each["task_id"], each["token"]) for each in again["leases"]] == [("T1", lease["token"])]
    assert (await claim).result == {"leases": []}
    assert (await ask.done("query.agents", agent_id="a1"))["agents"][0]["session"] == "s2"

    for verb in ("claim", "deregister", "heartbeat"):
        assert await ask.refused(f"agent.a1.{verb}", "stale_session", session="s1") == {"agent_id": "a1"}
    await ask.refused("agent.a1.start", "stale_session", session="s1", task_id="T1", token=1)
    assert (await ask.done("agent.a1.deregister", session="s2")) == {"released": 1}


async def test_a_registration_without_a_session_is_another_life_too(ask: Caller) -> None:
    await ask.done("agent.a1.register", session="s1")
    await ask.done("ops.submit", task_id="T1")
    lease = (await ask.done("agent.a1.claim", session="s1"))["leases"][0]

    again = await ask.done("agent.a1.register")

    assert [each["token"] for each in again["leases"]] == [lease["token"]]
    await ask.refused("agent.a1.deregister", "stale_session", session="s1")
    assert (await ask.done("agent.a1.start", task_id="T1", token=lease["token"]))["directive"] == "continue"


async def test_heartbeat_tells_what_is_held_and_takes_the_load(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1")
    reply = await ask.ask("agent.a1.heartbeat", load={"cpu": 99, "memory": 12.5})
    assert reply.events == ["agent.heartbeat"], "the load changed the agent's status"
    assert reply.result["leases"] == [
        {"task_id": "T1", "token": lease["token"], "expires_at": lease["expires_at"], "status": "assigned"}
    ]
    row = (await ask.done("query.workloads", agent_id="a1"))["workloads"][0]
    assert (row["load"], row["tasks"]) == ({"cpu": 99, "memory": 12.5}, 1)
    assert (await ask.ask("agent.a1.heartbeat", load={"cpu": 98})).events == [], "at most once a minute otherwise"
    assert (await ask.ask("agent.a1.heartbeat")).ok


async def test_heartbeat_vouches_for_tasks_and_a_load_is_no_life(ask: Caller) -> None:
    token = (await ask.lease(task_id="T1"))["token"]
    stale = {"task_id": "T1", "token": token + 1}
    beat = await ask.done("agent.a1.heartbeat", tasks=[{"task_id": "T1", "token": token}, stale])
    assert beat["directives"] == [
        {"task_id": "T1", "do": "stop", "reason": f"token {token + 1} is stale", "token": token + 1}
    ]
    alone = await ask.ask("agent.a1.heartbeat", alive=False, load={"cpu": 99})
    assert (alone.events, len(alone.result["leases"])) == (["agent.load_reported"], 1)
    by_others = await ask.ask("ops.load", agent_id="a1", load={"cpu": 5})
    assert (by_others.events, by_others.result) == (["agent.load_reported"], {"agent_id": "a1"})
    assert (await ask.done("query.workloads", agent_id="a1"))["workloads"][0]["load"]["cpu"] == 5
    await ask.refused("ops.load", "unknown_agent", agent_id="a9", load={})


async def test_claim_takes_as_much_as_asked_for_and_fits(ask: Caller) -> None:
    await ask.done("agent.a1.register", capacity=5)
    for number in range(8):
        await ask.done("ops.submit", task_id=f"T{number}", priority="critical" if number == 7 else "low")
    one = await ask.ask("agent.a1.claim")
    assert [lease["task_id"] for lease in one.result["leases"]] == ["T7"], "the most urgent first"
    many = await ask.ask("agent.a1.claim", max=100)
    assert [lease["task_id"] for lease in many.result["leases"]] == ["T0", "T1", "T2", "T3"]
    assert many.events == ["task.leased"] * 4
    assert [lease["token"] for lease in many.result["leases"]] == [each["position"] for each in many.body["events"]]
    details = await ask.refused("agent.a1.claim", "at_capacity")
    assert (details["held"], details["capacity"]) == (5, 5)


async def test_a_lease_shows_what_the_holder_needs(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1", title="Build", payload=[1], labels=["x"], deadline="2999-01-01T00:00:00Z")
    assert lease.keys() >= LEASE_FIELDS
    assert (lease["task_id"], lease["title"], lease["payload"], lease["labels"]) == ("T1", "Build", [1], ["x"])
    assert (lease["deadline"], lease["handoff"], lease["attempt"]) == ("2999-01-01T00:00:00.000000Z", None, 1)
    again = await ask.ask("agent.a1.lease", task_id="T1", token=lease["token"])
    assert again.result == lease
    assert again.events == []


async def test_start_is_said_once(ask: Caller) -> None:
    token = (await ask.lease(task_id="T1"))["token"]
    first = await ask.ask("agent.a1.start", task_id="T1", token=token)
    assert first.events == ["task.started"]
    assert first.result.keys() == {"expires_at", "grace_s", "directive"}
    again = await ask.ask("agent.a1.start", task_id="T1", token=token)
    assert (again.events, again.result) == ([], first.result)


async def test_progress_renews_by_what_it_reports(ask: Caller) -> None:
    token = (await ask.lease(task_id="T1"))["token"]
    first = await ask.ask(
        "agent.a1.progress", task_id="T1", token=token, percent=80, message="half", checkpoint={"k": [1]}
    )
    assert first.events == ["task.progressed"], "a first report starts the task"
    assert (await ask.task("T1"))["status"] == "in_progress"
    lower = await ask.ask("agent.a1.progress", task_id="T1", token=token, percent=0)
    assert lower.events == ["task.progressed"], "it may fall"
    last = await ask.ask("agent.a1.progress", task_id="T1", token=token, percent=100)
    assert (last.result["grace_s"], last.result["directive"]) == (90, "continue")
    lease = (await ask.task("T1"))["lease"]
    assert (lease["percent"], lease["note"], lease["reports"]) == (100, "half", 3)
    assert lease["checkpoint"] == {"k": [1]}
    assert moment(last.result["expires_at"]) - moment(lease["last_beat_at"]) == timedelta(seconds=360)


async def test_silence_counts_as_beating(ask: Caller) -> None:
    lease = await ask.lease(task_id="T1")
    reply = await ask.ask("agent.a1.silence", task_id="T1", token=lease["token"], for_s=3600, reason="compiling")
    assert reply.events == ["task.silenced"]
    gained = moment(reply.result["expires_at"]) - moment(lease["expires_at"])
    assert timedelta(seconds=3600) <= gained < timedelta(seconds=3610)


async def test_release_hands_over(ask: Caller) -> None:
    token = (await ask.lease(task_id="T1"))["token"]
    await ask.done("agent.a1.progress", task_id="T1", token=token, percent=30, message="a note")
    reply = await ask.ask("agent.a1.release", task_id="T1", token=token, checkpoint={"at": 3}, reason="tired")
    assert reply.events == ["task.released", "task.requeued"]
    await ask.done("agent.a2.register")
    lease = (await ask.done("agent.a2.claim"))["leases"][0]
    assert lease["attempt"] == 2
    assert lease["token"] > token
    handoff = lease["handoff"]
    assert (handoff["from_agent"], handoff["progress"], handoff["reason"]) == ("a1", 30, "tired")
    assert (handoff["last_note"], handoff["last_checkpoint"]) == ("a note", {"at": 3})
    assert moment(handoff["valid_until"]) - moment(handoff["recovered_at"]) == timedelta(hours=24)
    assert handoff["instructions"]
    assert handoff.keys() >= {"minutes_spent", "branch"}


async def test_complete_keeps_the_result(ask: Caller) -> None:
    token = (await ask.lease(task_id="T1"))["token"]
    reply = await ask.ask("agent.a1.complete", task_id="T1", token=token, result={"pr": 7})
    assert reply.events == ["task.completed"]
    task = await ask.task("T1")
    assert (task["status"], task["outcome"]["result"], task["outcome"]["token"]) == ("completed", {"pr": 7}, token)


async def test_failures_go_round_until_the_budget_is_spent(ask: Caller) -> None:
    await ask.lease(task_id="T1", budgets={"failures": 2})
    first = await ask.ask("agent.a1.fail", task_id="T1", token=(await ask.task("T1"))["token"], error="E1")
    assert first.events == ["task.requeued"], "with the error, instead of failed"
    token = (await ask.done("agent.a1.claim", wait_s=5))["leases"][0]["token"]
    assert (await ask.ask("agent.a1.fail", task_id="T1", token=token, error="E2")).events == ["task.failed"]
    token = (await ask.lease(task_id="T2"))["token"]
    final = await ask.ask("agent.a1.fail", task_id="T2", token=token, error="E", retryable=False)
    assert final.events == ["task.failed"]


async def test_deregister_releases_everything_held(ask: Caller) -> None:
    await ask.lease(task_id="T1")
    await ask.lease(task_id="T2")
    reply = await ask.ask("agent.a1.deregister")
    assert sorted(reply.events) == sorted(["task.released", "task.requeued"] * 2 + ["agent.deregistered"])
    await ask.refused("agent.a1.heartbeat", "unknown_agent")
    assert (await ask.done("query.tasks", status="queued"))["tasks"][1]["attempt"] == 2
    assert (await ask.ask("agent.a1.register")).events == ["agent.registered"]


async def test_capabilities_decide_who_gets_what(ask: Caller) -> None:
    await ask.done("agent.a1.register", capabilities=["a", "b"])
    await ask.done("ops.submit", task_id="T1", required_capabilities=["a", "c"])
    assert (await ask.done("agent.a1.claim"))["leases"] == []
    await ask.done("agent.a1.register", capabilities=["c", "a"])
    assert (await ask.done("agent.a1.claim"))["leases"][0]["task_id"] == "T1"
