"""Queries of agents and their loads."""

from __future__ import annotations

from tests.handlers.service.rows import ids
from tests.support.pool_harness import PoolHarness

AGENT_ROW = {
    "load_at",
    "session",
    "agent_id",
    "status",
    "intake",
    "drain_deadline",
    "capabilities",
    "priority",
    "capacity",
    "labels",
    "tasks",
    "holds",
    "load",
    "heard_at",
}
WORKLOAD_ROW = {"agent_id", "tasks", "capacity", "room", "load", "load_at", "load_status", "takes_grants"}


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
