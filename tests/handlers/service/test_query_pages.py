"""Pages of queries, their cursors, and many queries at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.conftest import MakePool
from tests.handlers.service.rows import ids
from tests.support.pool_harness import PoolHarness


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
    monkeypatch.setattr("projections.state.ended_entities.RECENT_ENTITIES", 1)
    monkeypatch.setattr("projections.state.ended_entities.RECENT_STEALS", 1)
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
