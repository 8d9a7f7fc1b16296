"""What each view shows, how it filters, and how it pages."""

from __future__ import annotations

from typing import Any

import pytest

from domain.hash_chain import chain_hash
from domain.rules import Rules
from domain.timestamps import format_timestamp
from handlers.ports import NewMessage
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import PoolHarness

TASK_ROW = {
    "task_id", "status", "attempt", "title", "priority", "labels", "required_capabilities", "deadline", "not_before",
    "submitted_at", "status_since", "agent_id", "token", "percent", "stalled",
}  # fmt: skip
LEASE_ROW = {
    "task_id", "token", "agent_id", "attempt", "task_status", "status", "granted_at", "expires_at", "grace_s",
    "grace_until", "left_s", "reports", "percent", "last_beat_at", "stalled", "stalled_at",
}  # fmt: skip
AGENT_ROW = {
    "load_at",
    "session",
    "agent_id", "status", "intake", "drain_deadline", "capabilities", "priority", "capacity", "labels", "tasks",
    "holds", "load", "heard_at",
}  # fmt: skip
WORKLOAD_ROW = {"agent_id", "tasks", "capacity", "room", "load", "load_at", "load_status", "takes_grants"}
HEALTH = {"leader", "leading", "position", "lag", "live_tasks", "agents", "unreadable_events", "guarantees"}


def ids(result: dict[str, Any], rows: str, name: str = "task_id") -> list[str]:
    return [row[name] for row in result[rows]]


async def test_a_task_is_shown_whole(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T", title="x", payload={"k": [1]}, labels=["l"], budgets={"steals": 1})
    await pool.given("agent.a.progress", task_id="T", token=token, percent=40, message="half", checkpoint={"at": 3})
    reply = await pool.request("query.task", {"task_id": "T"})
    shown = reply.result
    assert shown.keys() > TASK_ROW
    assert (shown["status"], shown["attempt"], shown["agent_id"], shown["token"]) == ("in_progress", 1, "a", token)
    assert (shown["payload"], shown["budgets"]["steals"]) == ({"k": [1]}, 1)
    lease = shown["lease"]
    assert (lease["percent"], lease["note"], lease["checkpoint"], lease["reports"]) == (40, "half", {"at": 3}, 1)
    assert reply["position"] == shown["position"] == pool.position

    await pool.given("agent.a.release", task_id="T", token=token, reason="tired")
    shown = await pool.given("query.task", task_id="T")
    assert shown["lease"] is None
    assert [each["ended"] for each in shown["former_leases"]] == ["released"]
    assert shown["handoff"]["progress"] == 40
    await pool.given("ops.cancel", task_id="T", reason="over")
    shown = await pool.given("query.task", task_id="T")
    assert (shown["outcome"]["event"], shown["outcome"]["detail"]) == ("cancelled", "over")


async def test_an_unknown_task(pool: PoolHarness) -> None:
    reply = await pool.request("query.task", {"task_id": "T"})
    assert (reply.code, reply["error"]["details"]) == ("unknown_task", {"task_id": "T"})


async def test_tasks_are_filtered_and_ended_ones_are_among_them(pool: PoolHarness) -> None:
    await pool.submit("low", priority="low", labels=["x"])
    await pool.submit("urgent", priority="urgent", labels=["x", "y"])
    await pool.submit("gone")
    await pool.given("ops.cancel", task_id="gone")
    everything = await pool.given("query.tasks")
    assert ids(everything, "tasks") == ["gone", "low", "urgent"]
    assert everything["next"] is None
    assert all(row.keys() == TASK_ROW for row in everything["tasks"])
    filters: list[tuple[dict[str, str], list[str]]] = [
        ({"status": "cancelled"}, ["gone"]),
        ({"status": "queued"}, ["low", "urgent"]),
        ({"priority": "critical"}, ["urgent"]),
        ({"priority": "urgent"}, ["urgent"]),
        ({"label": "x"}, ["low", "urgent"]),
        ({"label": "x", "priority": "low"}, ["low"]),
        ({"label": "z"}, []),
    ]
    for wanted, found in filters:
        assert ids(await pool.given("query.tasks", **wanted), "tasks") == found, wanted


async def test_leases_by_agent_and_phase(pool: PoolHarness) -> None:
    await pool.holds("a", "T1")
    await pool.advance(100)
    await pool.holds("a", "T2")
    await pool.holds("b", "T3")
    await pool.advance(25)

    everything = await pool.given("query.leases")
    assert ids(everything, "leases") == ["T1", "T2", "T3"]
    assert all(row.keys() == LEASE_ROW for row in everything["leases"])
    assert ids(await pool.given("query.leases", agent_id="a"), "leases") == ["T1", "T2"]
    assert ids(await pool.given("query.leases", status="expiring_soon"), "leases") == ["T1"]
    assert ids(await pool.given("query.leases", status="active"), "leases") == ["T2", "T3"]
    await pool.advance(60)
    expired = await pool.given("query.leases", status="expired")
    assert ids(expired, "leases") == ["T1"]
    assert expired["leases"][0]["left_s"] == -5.0
    statistics = (await pool.given("query.statistics"))["leases"]
    assert (statistics["held"], statistics["active"], statistics["in_grace"]) == (3, 2, 1)


async def test_a_stuck_lease_is_listed_by_whether_its_clock_runs(pool: PoolHarness) -> None:
    lease = {"mode": "fixed", "lease_s": 5000.0}
    for task_id, on_silence in (("runs", "requeue"), ("kept", "stuck")):
        await pool.holds("a", task_id, lease=lease, on_silence=on_silence)
        await pool.given("agent.a.progress", task_id=task_id, token=pool.lease(task_id).token, percent=1)
    await pool.advance(601)

    assert ids(await pool.given("query.leases", status="active"), "leases") == ["runs"]
    assert ids(await pool.given("query.leases", status="stopped"), "leases") == ["kept"]
    leases = (await pool.given("query.statistics"))["leases"]
    assert (leases["held"], leases["active"], leases["stopped"]) == (2, 1, 1)
    assert (await pool.given("query.task", task_id="runs"))["lease"]["status"] == "active"


async def test_agents_and_workloads(pool: PoolHarness) -> None:
    await pool.register("a", capabilities=["gpu"], capacity=2, labels=["l"], session="s1")
    await pool.register("b")
    await pool.holds("a", "T")
    await pool.given("agent.a.heartbeat", load={"cpu": 85.0, "memory": 10.0})
    await pool.given("ops.drain", agent_id="b")
    agents = await pool.given("query.agents")
    assert ids(agents, "agents", "agent_id") == ["a", "b"]
    first = agents["agents"][0]
    assert first.keys() == AGENT_ROW
    assert (first["tasks"], first["capabilities"], first["load"]["cpu"]) == (1, ["gpu"], 85.0)
    assert [row["session"] for row in agents["agents"]] == ["s1", None]
    assert [row["intake"] for row in agents["agents"]] == ["open", "draining"]
    assert ids(await pool.given("query.agents", agent_id="b"), "agents", "agent_id") == ["b"]

    workloads = (await pool.given("query.workloads"))["workloads"]
    assert workloads[0].keys() == WORKLOAD_ROW
    assert [(row["load_status"], row["room"], row["takes_grants"]) for row in workloads] == [
        ("overloaded", 1, True),
        ("underloaded", 10, False),
    ]
    assert ids(await pool.given("query.workloads", agent_id="a"), "workloads", "agent_id") == ["a"]


async def test_a_load_that_is_outdated_is_shown_and_counts_no_more(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.given("ops.load", agent_id="a", load={"cpu": 85.0})
    (before,) = (await pool.given("query.workloads"))["workloads"]
    await pool.advance(300.5)
    (after,) = (await pool.given("query.workloads"))["workloads"]
    assert (before["load_status"], after["load_status"]) == ("overloaded", "underloaded")
    assert before["load_at"] == after["load_at"] == (await pool.given("query.agents"))["agents"][0]["load_at"]
    assert after["load"]["cpu"] == 85.0


async def test_the_backlog_is_in_the_order_of_grants(pool: PoolHarness) -> None:
    for task_id, priority in [("m", "medium"), ("l", "low"), ("c", "critical"), ("h", "high"), ("m2", "medium")]:
        await pool.submit(task_id, priority=priority)
    await pool.advance(12)
    backlog = await pool.given("query.backlog")
    assert ids(backlog, "tasks") == ["c", "h", "m", "m2", "l"]
    assert (backlog["queued"], backlog["oldest_s"]) == (5, 12.0)
    assert backlog["by_priority"] == {"low": 1, "medium": 2, "high": 1, "critical": 1}
    page = await pool.given("query.backlog", limit=2)
    assert ids(page, "tasks") == ["c", "h"]
    assert ids(await pool.given("query.backlog", limit=2, after="h"), "tasks") == ["m", "m2"]
    assert ids(await pool.given("query.backlog", limit=2, after=page["next"]), "tasks") == ["m", "m2"]
    await pool.register("a")
    granted = (await pool.given("agent.a.claim", max=5))["leases"]
    assert [lease["task_id"] for lease in granted] == ["c", "h", "m", "m2", "l"]


async def test_the_backlog_shows_tasks_where_they_have_aged_to(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(priority_aging_s=60.0))
    await pool.submit("low", priority="low")
    await pool.advance(121)
    await pool.submit("m", priority="medium")
    await pool.submit("h", priority="high")
    backlog = await pool.given("query.backlog")
    assert ids(backlog, "tasks") == ["low", "h", "m"]
    assert backlog["tasks"][0]["priority"] == "low"
    page = await pool.given("query.backlog", limit=1)
    assert ids(await pool.given("query.backlog", after=page["next"]), "tasks") == ["h", "m"]
    await pool.register("a")
    granted = (await pool.given("agent.a.claim", max=5))["leases"]
    assert [lease["task_id"] for lease in granted] == ["low", "h", "m"]


@pytest.mark.parametrize("view", ["backlog", "tasks"])
async def test_a_pages_cursor_survives_the_removal_of_its_last_row(pool: PoolHarness, view: str) -> None:
    await pool.submit("a", "b", "c", "d")
    page = await pool.given(f"query.{view}", limit=2)
    await pool.given("ops.cancel", task_id="b")
    rest = await pool.given(f"query.{view}", limit=2, after=page["next"])
    assert ids(rest, "tasks") == ["c", "d"]


@pytest.mark.parametrize("after", ["b", "after:", "after:x", "after:1,", "", "after:nan,1"])
async def test_an_unknown_cursor_of_the_backlog_is_refused(pool: PoolHarness, after: str) -> None:
    await pool.submit("a")
    reply = await pool.request("query.backlog", {"after": after})
    assert (reply.code, reply["error"]["details"]["fields"][0]["field"]) == ("invalid_command", "after")


@pytest.mark.parametrize("view", ["tasks", "leases", "agents", "workloads", "steals"])
async def test_what_never_was_is_no_cursor(pool: PoolHarness, view: str) -> None:
    for after in ("after:1,2", "never", "a b", ""):
        reply = await pool.request(f"query.{view}", {"after": after})
        assert (reply.code, reply["error"]["details"]["fields"][0]["field"]) == ("invalid_command", "after"), after


async def test_what_has_left_memory_is_a_cursor_all_the_same(
    monkeypatch: pytest.MonkeyPatch, make_pool: MakePool
) -> None:
    monkeypatch.setattr("projections.state.pool_state.RECENT_ENTITIES", 1)
    monkeypatch.setattr("projections.state.pool_state.RECENT_STEALS", 1)
    pool = await make_pool()
    await pool.register("a", "b", "z", capacity=20)
    operations = []
    for task_id in ("a", "b", "z"):
        await pool.submit(task_id)
        await pool.assign("a", task_id)
        operations.append((await pool.given("ops.steal", from_="a", to="b", task_ids=[task_id]))["operation_id"])
        await pool.given("ops.cancel", task_id=task_id)
    await pool.given("ops.deregister", agent_id="a")
    await pool.given("ops.deregister", agent_id="b")
    await pool.register("c")
    assert ids(await pool.given("query.agents", after="a"), "agents", "agent_id") == ["c", "z"]
    assert ids(await pool.given("query.workloads", after="b"), "workloads", "agent_id") == ["c", "z"]
    assert (await pool.given("query.leases", after="b"))["leases"] == []
    for operation_id in operations:
        await pool.given("query.steals", after=operation_id)
    # An agent's name is no task's.
    assert (await pool.request("query.tasks", {"after": "c"})).code == "invalid_command"


async def test_the_list_of_tasks_says_when_older_ended_ones_are_left_out(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.state.pool_state.RECENT_ENTITIES", 2)
    for task_id in ("T1", "T2", "T3"):
        await pool.submit(task_id)
        assert (await pool.given("query.tasks"))["all_ended"] is True
        await pool.given("ops.cancel", task_id=task_id)
    shown = await pool.given("query.tasks")
    assert (ids(shown, "tasks"), shown["all_ended"]) == (["T2", "T3"], False)


async def test_agents_say_what_they_hold_and_lost_ones_can_be_left_out(pool: PoolHarness) -> None:
    await pool.register("gone")
    await pool.advance(700)
    token = await pool.holds("a", "Z", "B")
    await pool.given("agent.a.progress", task_id="B", token=token, percent=40)
    shown = (await pool.given("query.agents", lost=False))["agents"]
    assert [row["agent_id"] for row in shown] == ["a"]
    assert (shown[0]["tasks"], shown[0]["holds"]) == (
        2,
        [{"task_id": "Z", "percent": 0}, {"task_id": "B", "percent": 40}],
    )
    assert ids(await pool.given("query.agents"), "agents", "agent_id") == ["a", "gone"]


async def test_after_a_start_the_last_sign_of_life_on_record_is_shown(pool: PoolHarness) -> None:
    await pool.register("a")
    registered = (await pool.given("query.agents"))["agents"][0]["heard_at"]
    await pool.advance(30)
    await pool.given("agent.a.heartbeat")
    (shown,) = (await pool.given("query.agents"))["agents"]
    assert shown["heard_at"] > registered
    await pool.restart(after_s=100)
    (shown,) = (await pool.given("query.agents"))["agents"]
    assert shown["heard_at"] == registered


async def heard_at_after_a_start(pool: PoolHarness, after_s: float = 100) -> str:
    await pool.restart(after_s=after_s)
    (shown,) = (await pool.given("query.agents"))["agents"]
    assert isinstance(shown["heard_at"], str)
    return shown["heard_at"]


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("progress", {"percent": 1}),
        ("start", {}),
        ("complete", {}),
        ("fail", {"error": "e"}),
        ("release", {}),
        ("block", {"reason": "a key"}),
        ("silence", {"for_s": 300, "reason": "a build"}),
    ],
)
async def test_after_a_start_an_agent_was_heard_when_it_did_last_what_is_on_record(
    pool: PoolHarness, verb: str, body: dict[str, object]
) -> None:
    token = await pool.holds("a", "T")
    await pool.advance(15)
    await pool.given(f"agent.a.{verb}", task_id="T", token=token, **body)
    acted = format_timestamp(pool.clock.now())
    await pool.advance(5)
    assert await heard_at_after_a_start(pool) == acted


async def test_after_a_start_an_agent_was_heard_when_it_renewed_its_leases(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.advance(30)
    await pool.given("agent.a.heartbeat")
    renewed = format_timestamp(pool.clock.now())
    await pool.advance(5)
    await pool.given("agent.a.heartbeat")
    assert await heard_at_after_a_start(pool) == renewed


@pytest.mark.parametrize("waited_s", [0, 20])
async def test_after_a_start_an_agent_was_heard_when_its_claim_was_sent(pool: PoolHarness, waited_s: float) -> None:
    """A claim that waits may be of an agent that died meanwhile; what it is granted then is no sign of life."""
    await pool.register("a")
    if not waited_s:
        await pool.submit("T")
    await pool.advance(10)
    claimed = format_timestamp(pool.clock.now())
    claim = pool.post("agent.a.claim", {"wait_s": 30.0})
    if waited_s:
        await pool.advance(waited_s)
        await pool.submit("T")
    await pool.rest()
    assert claim.answer.result["leases"][0]["task_id"] == "T"
    assert await heard_at_after_a_start(pool) == claimed


async def test_what_others_do_and_a_load_alone_are_no_signs_of_life_of_an_agent(pool: PoolHarness) -> None:
    await pool.holds("a", "T", "U")
    heard_at = format_timestamp(pool.clock.now())
    await pool.advance(10)
    await pool.given("agent.a.heartbeat", alive=False, load={"cpu": 95})
    await pool.given("ops.complete", task_id="T")
    await pool.given("ops.pause", agent_id="a")
    assert await heard_at_after_a_start(pool) == heard_at


async def test_who_is_lost_was_heard_when_it_was_heard_last_also_after_a_start(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.advance(30)
    await pool.given("agent.a.claim")
    heard_at = format_timestamp(pool.clock.now())
    await pool.advance(700)
    (shown,) = (await pool.given("query.agents"))["agents"]
    assert (shown["status"], shown["heard_at"]) == ("lost", heard_at)
    assert await heard_at_after_a_start(pool) == heard_at


async def test_the_start_of_a_service_is_no_sign_of_life_of_an_agent_that_is_lost_after_it(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.advance(10)
    await pool.given("agent.a.complete", task_id="T", token=token)
    heard_at = format_timestamp(pool.clock.now())
    assert await heard_at_after_a_start(pool, 10_000) == heard_at
    await pool.advance(700)
    (shown,) = (await pool.given("query.agents"))["agents"]
    assert (shown["status"], shown["heard_at"]) == ("lost", heard_at)
    assert (await pool.given("ops.forget", older_than_s=10_000))["agent_ids"] == ["a"]


async def test_statistics_tell_failures_steals_loads_durations_and_findings(pool: PoolHarness) -> None:
    tokens = {task_id: await pool.holds("a", task_id, budgets={"failures": 1}) for task_id in ("done", "bad", "worse")}
    await pool.submit("late", deadline_s=5)
    await pool.register("b", "c")
    await pool.given("agent.c.heartbeat", load={"cpu": 90})
    await pool.holds("a", "moves")
    await pool.given("ops.steal", from_="a", to="b", task_ids=["moves"])
    await pool.advance(10)
    await pool.given("agent.a.complete", task_id="done", token=tokens["done"])
    await pool.given("agent.a.fail", task_id="bad", token=tokens["bad"], error="no")
    await pool.given("agent.a.fail", task_id="worse", token=tokens["worse"], error="no", retryable=False)

    shown = await pool.given("query.statistics")

    assert shown["failures"] == {"deadline": 1, "budget": 1, "gave_up": 1}
    assert shown["steals"] == {"planned": 1, "completed": 1, "failed": 0, "tasks_moved": 1}
    assert shown["average_duration_by_agent_s"] == {"a": 10.0}
    assert shown["loads"] == {"overloaded": 1, "normal": 0, "underloaded": 2}
    assert shown["sweeper"]["deadline_exceeded"] == 1
    assert shown["sweeper"]["already_finished"] == 0
    await pool.restart()
    again = await pool.given("query.statistics")
    assert {name: again[name] for name in ("totals", "failures", "steals", "average_duration_by_agent_s")} == {
        name: shown[name] for name in ("totals", "failures", "steals", "average_duration_by_agent_s")
    }


async def test_statistics_count_what_happened(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T", "U")
    await pool.advance(10)
    await pool.given("agent.a.complete", task_id="U", token=token)
    await pool.submit("V")
    await pool.given("ops.cancel", task_id="V")
    shown = await pool.given("query.statistics")
    totals = shown["totals"]
    assert (totals["submitted"], totals["granted"], totals["completed"], totals["cancelled"]) == (3, 2, 1, 1)
    assert totals["average_duration_s"] == 10.0
    assert (shown["tasks"]["assigned"], shown["tasks"]["completed"], shown["agents"]) == (1, 1, 1)
    await pool.restart()
    assert (await pool.given("query.statistics"))["totals"] == totals


async def test_steals(pool: PoolHarness) -> None:
    await pool.holds("a", "T", "U")
    await pool.register("b", "c")
    operation = (await pool.given("ops.steal", from_="a", to="b", task_ids=["T"], reason="mine"))["operation_id"]
    (shown,) = (await pool.given("query.steals"))["steals"]
    assert (shown["operation_id"], shown["status"], shown["by"]) == (operation, "completed", "ops")
    assert (shown["plan"]["reason"], shown["outcome"]["moved"]) == ("mine", 1)
    assert shown["ended_at"] == shown["planned_at"]
    for agent_id, count in (("a", 1), ("b", 1), ("c", 0)):
        assert len((await pool.given("query.steals", agent_id=agent_id))["steals"]) == count


async def test_health(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    reply = await pool.request("query.health")
    shown = reply.result
    assert shown.keys() >= HEALTH
    assert (shown["leader"], shown["leading"], shown["lag"]) == ("host:1:1", True, 0)
    assert (shown["position"], shown["live_tasks"], shown["agents"]) == (pool.position, 1, 1)
    assert shown["unreadable_events"] == 0
    await pool.given("ops.pause")
    assert (await pool.given("query.health"))["intake"] == "paused"


async def test_health_says_for_how_long_the_broker_has_confirmed_nothing(pool: PoolHarness) -> None:
    await pool.submit("T")
    position = pool.position
    with pool.log.held():
        pool.post("ops.submit")
        await pool.advance(3)
        asked = pool.post("query.health")
        await pool.advance(6)
        answer = asked.answer
        assert answer.code == "unavailable"
        assert answer["error"]["details"] == {
            "leader": "host:1:1",
            "position": position,
            "unconfirmed_s": pytest.approx(8, abs=1),
        }
        assert f"position {position} is the last that it confirmed" in answer["error"]["message"]
    await pool.rest()
    assert (await pool.request("query.health")).ok


async def test_health_and_one_warning_say_that_the_clock_was_set_back(
    pool: PoolHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.advance(3600)
    await pool.submit("T")
    assert (await pool.given("query.health"))["clock_behind_s"] == 0
    pool.clock.set_back(600)
    await pool.restart()
    await pool.advance(60)
    shown = await pool.given("query.health")
    assert (shown["last_event_at"], shown["clock_behind_s"]) == ("2026-11-21T09:00:00.000000Z", 540)
    assert caplog.text.count("behind the log's last event; leases last longer until it has caught up") == 1
    await pool.advance(600)
    assert (await pool.given("query.health"))["clock_behind_s"] == 0


async def test_health_says_that_the_broker_does_not_answer(pool: PoolHarness) -> None:
    pool.log.fail_reads(1)
    answer = await pool.request("query.health")
    assert (answer.code, answer["error"]["details"]["unconfirmed_s"]) == ("unavailable", 0)
    assert "the broker did not answer" in answer["error"]["message"]


async def test_unreadable_events_are_skipped_and_shown(pool: PoolHarness, caplog: pytest.LogCaptureFixture) -> None:
    await pool.submit("T")
    subject, body = "custody.p.evt.task.T.leased", b"not an event"
    previous = pool.log.messages[-1].headers["Custody-Hash"]
    hashed = chain_hash(previous, pool.position + 1, subject, body)
    pool.log.append_foreign(NewMessage(subject, body, {"Custody-Hash": hashed}))
    pool.foreign = True
    await pool.submit("U")
    shown = await pool.given("query.health")
    assert (shown["unreadable_events"], [each["position"] for each in shown["unreadable"]]) == (1, [4])
    assert "skipped position 4" in caplog.text
    await pool.restart()
    assert (await pool.given("query.health"))["unreadable_events"] == 1


@pytest.mark.parametrize("view", ["tasks", "leases", "agents", "workloads", "steals"])
async def test_pages_follow_one_another(pool: PoolHarness, view: str) -> None:
    names = [f"n{number}" for number in range(7)]
    await pool.register(*names)
    await pool.register("z", capacity=20)
    for name in names:
        await pool.holds(name, f"T{name}")
        await pool.given("ops.steal", from_=name, to="z", count=1)
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    pages = 0
    while True:
        page = await pool.given(f"query.{view}", limit=3, **cursor)
        rows += page[view]
        pages += 1
        if page["next"] is None:
            break
        cursor = {"after": page["next"]}
    whole = await pool.given(f"query.{view}", limit=1000)
    assert rows == whole[view]
    assert pages == 3
    assert len(rows) == (8 if view in {"agents", "workloads"} else 7)


async def test_the_default_page_and_the_largest(pool: PoolHarness) -> None:
    for number in range(1_005):
        pool.post("ops.submit", {"title": str(number)})
    await pool.rest()
    assert len((await pool.given("query.tasks"))["tasks"]) == 100
    page = await pool.given("query.tasks", limit=1000)
    assert len(page["tasks"]) == 1000
    assert len((await pool.given("query.tasks", limit=1000, after=page["next"]))["tasks"]) == 5
    assert (await pool.request("query.tasks", {"limit": 0})).code == "invalid_command"


async def test_a_query_is_true_at_its_position(pool: PoolHarness) -> None:
    await pool.submit("T")
    reply = await pool.request("query.tasks")
    assert reply["position"] == pool.position
    assert reply["events"] == []


async def test_many_views_at_once_do_not_hold_up_who_comes_after_them(pool: PoolHarness) -> None:
    await pool.submit(*(f"T{number}" for number in range(20)))
    order: list[str] = []
    pool.on_reply = lambda asked: order.append(asked.subject)
    for _ in range(50):
        pool.post("query.tasks")
    pool.post("query.health")
    pool.post("ops.submit")
    pool.post("query.task", {"task_id": "T1"})
    await pool.rest()
    assert len(order) == 53
    assert {"query.health", "ops.submit", "query.task"} <= set(order[:20]), "a turn of the loop makes one view"
