"""Cancelling and requeuing all tasks that fit a filter: a count first, a limit, and what changed meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.pool_harness import PoolHarness


async def several(pool: PoolHarness) -> None:
    await pool.holds("a", "held", labels=["x"])
    await pool.submit("low", labels=["x"], priority="low")
    await pool.submit("both", labels=["x", "y"])
    await pool.submit("other", labels=["y"])
    await pool.submit("ended", labels=["x"])
    await pool.given("ops.cancel", task_id="ended")


@pytest.mark.parametrize(
    ("body", "fitting"),
    [
        ({"label": "x"}, ["both", "held", "low"]),
        ({"status": "queued"}, ["both", "low", "other"]),
        ({"priority": "low"}, ["low"]),
        ({"label": "x", "status": "queued", "priority": "medium"}, ["both"]),
        ({"status": "cancelled"}, []),
        ({"label": "nothing"}, []),
    ],
    ids=str,
)
async def test_what_fits_is_counted_first_and_then_cancelled(
    pool: PoolHarness, body: dict[str, Any], fitting: list[str]
) -> None:
    await several(pool)
    position = pool.position

    counted = await pool.given("ops.cancel", **body, dry_run=True)
    assert pool.position == position
    done = await pool.request("ops.cancel", {**body, "reason": "over"})

    assert counted == done.result == {"task_ids": fitting, "count": len(fitting), "more": False}
    assert done.names == ["cancelled"] * len(fitting)
    assert {task_id for task_id in fitting if pool.task(task_id).status != "cancelled"} == set()


async def test_a_holder_of_a_task_that_was_cancelled_by_filter_is_told_to_stop(pool: PoolHarness) -> None:
    await several(pool)
    await pool.given("ops.cancel", label="x", reason="over")
    assert (await pool.given("agent.a.heartbeat"))["directives"] == [
        {"task_id": "held", "do": "stop", "reason": "over"}
    ]


async def test_a_stuck_or_quarantined_task_is_requeued_by_filter(pool: PoolHarness) -> None:
    await pool.holds("a", "stuck", labels=["x"], on_silence="stuck")
    token = await pool.holds("b", "set-aside", labels=["x"], budgets={"releases": 1})
    await pool.given("agent.b.release", task_id="set-aside", token=token)
    await pool.submit("queued", labels=["x"])
    await pool.advance(400)

    result = await pool.given("ops.requeue", label="x")

    assert result == {"task_ids": ["set-aside", "stuck"], "count": 2, "more": False}
    assert {pool.task(task_id).status.value for task_id in ("stuck", "set-aside")} == {"queued"}
    assert (await pool.given("ops.requeue", status="queued"))["count"] == 0


@pytest.mark.parametrize("threshold", [0, 5_000], ids=["in a thread", "at once"])
async def test_one_answer_has_a_limit_and_says_whether_there_are_others(
    pool: PoolHarness, monkeypatch: pytest.MonkeyPatch, threshold: int
) -> None:
    monkeypatch.setattr("handlers.answering.large_scans.LARGE_POOL", threshold)
    for _ in range(2):
        await pool.given("ops.submit_many", tasks=[{"labels": ["x"]}] * 600)

    async def ask(**body: Any) -> tuple[int, int, bool]:
        asked = pool.post("ops.cancel", {"label": "x", **body})
        while not asked.replies:  # noqa: ASYNC110 - a thread of the real world answers
            await asyncio.sleep(0.001)
        result = asked.answer.result
        return len(result["task_ids"]), result["count"], result["more"]

    assert await ask(dry_run=True) == (1000, 1200, True)
    assert await ask() == (1000, 1000, True)
    assert await ask() == (200, 200, False)
    assert await ask() == (0, 0, False)


async def test_what_ended_while_it_was_selected_is_left_out(pool: PoolHarness) -> None:
    await pool.submit("T", "U", labels=["x"])
    with pool.log.held():
        ending = pool.post("ops.cancel", {"task_id": "T"})
        await pool.rest()
        filtered = pool.post("ops.cancel", {"label": "x"})
        await pool.rest()
    await pool.rest()
    assert ending.answer.ok
    assert filtered.answer.result["task_ids"] == ["U"]


async def test_without_a_broker_nothing_is_done(pool: PoolHarness) -> None:
    await pool.submit("T", labels=["x"])
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "U"})
        await pool.rest()
        filtered = pool.post("ops.cancel", {"label": "x"})
        await pool.advance(30)
        assert filtered.answer.code == "unavailable"
    await pool.rest()
    assert pool.task("T").status == "queued"
