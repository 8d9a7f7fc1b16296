"""A directive to stop is dropped once the agent's command on the task was carried out or refused, and not earlier."""

from __future__ import annotations

from handlers.writer.writer import WriterLimits
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import PoolHarness


async def stops(pool: PoolHarness, agent_id: str) -> list[str]:
    """Return the tasks that the agent is told to stop."""
    result = (await pool.request(f"agent.{agent_id}.heartbeat")).result
    return [each["task_id"] for each in result["directives"] if each["do"] == "stop"]


async def test_a_refused_command_ends_it_for_its_agent_knows_now(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.given("ops.revoke", task_id="T")
    assert await stops(pool, "a") == ["T"]
    assert (
        await pool.request("agent.a.progress", {"task_id": "T", "token": token, "percent": 1})
    ).code == "stale_token"
    assert await stops(pool, "a") == []


async def test_an_overloaded_command_leaves_it(make_pool: MakePool) -> None:
    pool = await make_pool(limits=WriterLimits(queue_commands=1))
    token = await pool.holds("a", "T")
    await pool.given("ops.revoke", task_id="T")
    pool.post("ops.pause")
    report = pool.post("agent.a.progress", {"task_id": "T", "token": token, "percent": 1})
    await pool.rest()
    assert report.answer.code == "overloaded"
    assert await stops(pool, "a") == ["T"]


async def test_a_command_of_the_same_batch_that_was_decided_before_it_leaves_it(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    with pool.log.held():
        pool.post("ops.pause")
        await pool.rest()
        report = pool.post("agent.a.progress", {"task_id": "T", "token": token, "percent": 1})
        revoked = pool.post("ops.revoke", {"task_id": "T"})
        await pool.rest()
    await pool.rest()
    assert report.answer.ok
    assert revoked.answer.ok
    assert await stops(pool, "a") == ["T"]


async def test_a_command_of_the_same_batch_that_was_decided_after_it_ends_it(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    with pool.log.held():
        pool.post("ops.pause")
        await pool.rest()
        pool.post("ops.revoke", {"task_id": "T"})
        report = pool.post("agent.a.progress", {"task_id": "T", "token": token, "percent": 1})
        await pool.rest()
    await pool.rest()
    assert report.answer.code == "stale_token"
    assert await stops(pool, "a") == []
