"""When an agent was heard last, as queries say it: also after a start, from the log."""

from __future__ import annotations

import pytest

from domain.timestamps import format_timestamp
from tests.support.pool_harness import PoolHarness


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
