"""Queries of tasks, leases and the backlog."""

from __future__ import annotations

import pytest

from domain.rules import Rules
from tests.handlers.conftest import MakePool
from tests.handlers.service.rows import ids
from tests.support.pool_harness import PoolHarness

TASK_ROW = {
    "task_id",
    "status",
    "attempt",
    "title",
    "priority",
    "labels",
    "required_capabilities",
    "deadline",
    "not_before",
    "submitted_at",
    "status_since",
    "agent_id",
    "token",
    "percent",
    "stalled",
}
LEASE_ROW = {
    "task_id",
    "token",
    "agent_id",
    "attempt",
    "task_status",
    "status",
    "granted_at",
    "expires_at",
    "grace_s",
    "grace_until",
    "left_s",
    "reports",
    "percent",
    "last_beat_at",
    "stalled",
    "stalled_at",
}


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


async def test_the_list_of_tasks_says_when_older_ended_ones_are_left_out(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.state.ended_entities.RECENT_ENTITIES", 2)
    for task_id in ("T1", "T2", "T3"):
        await pool.submit(task_id)
        assert (await pool.given("query.tasks"))["all_ended"] is True
        await pool.given("ops.cancel", task_id=task_id)
    shown = await pool.given("query.tasks")
    assert (ids(shown, "tasks"), shown["all_ended"]) == (["T2", "T3"], False)
