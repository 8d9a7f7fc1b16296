"""Who is heard, and what a vouching heartbeat is told, by the running service."""

from __future__ import annotations

from domain.rules import Rules
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import PoolHarness


async def test_a_load_alone_is_no_sign_of_life(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(lost_after_s=10.0))
    await pool.register("a")
    for second in range(12):
        await pool.given("agent.a.heartbeat", alive=False, load={"cpu": 90.0 - second})
        await pool.given("ops.load", agent_id="a", load={"cpu": 50.0})
        await pool.advance(1)
    assert pool.agent("a").status == "lost"
    await pool.given("agent.a.heartbeat", alive=False, load={"cpu": 1.0})
    assert pool.agent("a").status == "lost"
    await pool.given("agent.a.heartbeat")
    assert pool.agent("a").status == "live"


async def test_a_task_that_was_lost_is_to_be_stopped_once_for_the_reason_on_record(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.given("ops.revoke", task_id="T", reason="elsewhere")
    tasks = [{"task_id": "T", "token": token}, {"task_id": "U", "token": 1}]

    beat = await pool.given("agent.a.heartbeat", tasks=tasks)

    assert beat["directives"] == [
        {"task_id": "T", "do": "stop", "reason": "elsewhere"},
        {"task_id": "U", "do": "stop", "reason": "token 1 is stale", "token": 1},
    ]


async def test_a_repeated_vouching_heartbeat_names_what_is_stale_now(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.advance(60)
    body = {"tasks": [{"task_id": "T", "token": token}], "command_id": "same"}
    first = await pool.request("agent.a.heartbeat", body)
    assert (first.names, first.result["directives"]) == (["heartbeat", "renewed"], [])

    await pool.given("agent.a.release", task_id="T", token=token)

    again = await pool.request("agent.a.heartbeat", body)
    assert again.names == ["heartbeat", "renewed"]
    assert [each["reason"] for each in again.result["directives"]] == [f"token {token} is stale"]
