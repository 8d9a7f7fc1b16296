"""A drain that has a deadline: what the agent has not handed over by then is taken from it."""

from __future__ import annotations

from tests.support.pool_harness import PoolHarness


async def test_what_is_still_held_at_the_deadline_is_taken_and_queued_again(pool: PoolHarness) -> None:
    await pool.holds("a", "T", "U")
    await pool.given("ops.drain", agent_id="a", deadline_s=60, reason="an update")
    await pool.advance(59)
    assert pool.task("T").status == "assigned"

    await pool.advance(2)

    assert pool.names()[-4:] == ["revoked", "requeued", "revoked", "requeued"]
    assert [recorded.actor for recorded in pool.records()[-4:]] == ["sweeper"] * 4
    directives = (await pool.given("agent.a.heartbeat"))["directives"]
    assert {each["reason"] for each in directives} == {"the deadline of the drain has passed"}
    assert (await pool.given("query.agents"))["agents"][0]["intake"] == "draining"


async def test_a_restart_keeps_the_deadline_and_a_resume_ends_it(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.holds("b", "U")
    for agent_id in "ab":
        await pool.given("ops.drain", agent_id=agent_id, deadline_s=100)
    await pool.given("ops.resume", agent_id="b")
    await pool.restart()
    await pool.advance(110)
    assert (pool.task("T").status, pool.task("U").status) == ("queued", "assigned")


async def test_a_later_deadline_replaces_the_first_and_a_repeat_without_one_changes_nothing(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.given("ops.drain", agent_id="a", deadline_s=50)
    await pool.given("ops.drain", agent_id="a", deadline_s=150)
    position = pool.position
    await pool.given("ops.drain", agent_id="a")
    assert pool.position == position
    await pool.advance(100)
    assert pool.task("T").status == "assigned"
    await pool.advance(60)
    assert pool.task("T").status == "queued"
