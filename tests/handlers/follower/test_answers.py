"""A follower answers every query as the service does that wrote the log, and without it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from domain.errors import RefusalCode
from handlers.follower.follower import Follower
from projections.queries.questions import QUERIES, ExplainQuery, HealthQuery, TaskQuery, TasksQuery
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import POOL, PoolHarness

OF_THE_SERVICE = frozenset(
    {"leading", "waiting_claims", "queued_commands", "clock_behind_s", "guarantees", "software", "sweeper"}
)
"""What only a service knows of itself."""


async def copy_of(pool: PoolHarness) -> Follower:
    follower = Follower(POOL, pool.log, pool.codec, pool.clock, pool.rules)
    await follower.open()
    return follower


async def at_work(make_pool: MakePool) -> PoolHarness:
    """A pool with tasks in most statuses, held by two agents."""
    pool = await make_pool()
    await pool.register("alice", "bob", capacity=5, capabilities=["web"])
    for number in range(12):
        await pool.submit(f"T{number:02}", priority="high" if number % 3 else "low")
    await pool.assign("bob", "T00")
    for task_id in ("T01", "T02", "T03", "T04"):
        await pool.assign("alice", task_id)
    holds = {task_id: {"task_id": task_id, "token": pool.lease(task_id).token} for task_id in ("T01", "T02")}
    await pool.given("agent.alice.progress", **holds["T01"], percent=30, message="well")
    await pool.given("agent.alice.complete", **holds["T02"])
    await pool.given("ops.block", task_id="T09", reason="no key", question="Which?")
    await pool.given("ops.cancel", task_id="T10")
    await pool.given("ops.steal", from_="alice", to="bob", task_ids=["T04"])
    return pool


BODIES: dict[str, dict[str, Any]] = {"task": {"task_id": "T01"}, "explain": {"task_id": "T03"}}


@pytest.mark.parametrize("view", QUERIES)
async def test_the_answer_is_the_service_s(make_pool: MakePool, view: str) -> None:
    pool = await at_work(make_pool)
    body = BODIES.get(view, {})
    told = await pool.given(f"query.{view}", **body)
    answered = await (await copy_of(pool)).answer(QUERIES[view].model_validate(body))
    assert answered.refusal is None
    assert json.loads(json.dumps(answered.result)) == {
        name: value for name, value in told.items() if name not in OF_THE_SERVICE
    }
    assert answered.position == len(pool.log.messages)


async def test_a_task_that_left_memory_is_read_from_the_log(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.state.ended_entities.RECENT_ENTITIES", 1)
    pool = await at_work(make_pool)
    follower = await copy_of(pool)
    assert follower.memory.state.task("T02") is None
    told = await pool.given("query.task", task_id="T02")
    assert (await follower.answer(TaskQuery(task_id="T02"))).result == told
    pages = await follower.answer(TasksQuery(limit=100))
    assert pages.result is not None
    ended = await follower.answer(TasksQuery(limit=100, after=pages.result["next"]))
    assert ended.result is not None
    assert [row["task_id"] for row in ended.result["tasks"]] == ["T02"]


async def test_what_there_is_not_is_refused(make_pool: MakePool) -> None:
    follower = await copy_of(await make_pool())
    for query in (TaskQuery(task_id="T"), ExplainQuery(task_id="T")):
        answered = await follower.answer(query)
        assert answered.refusal is not None
        assert answered.refusal.code is RefusalCode.UNKNOWN_TASK


async def test_it_answers_when_nothing_serves_the_pool(make_pool: MakePool) -> None:
    pool = await at_work(make_pool)
    leader = pool.state.pool.leader
    follower = await copy_of(pool)
    await pool.kill()
    health = (await follower.answer(HealthQuery())).result
    assert health is not None
    assert (health["leader"], health["live_tasks"], health["lag"]) == (leader, 10, 0)
    await pool.start()
