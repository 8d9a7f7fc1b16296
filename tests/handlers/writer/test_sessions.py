"""Claims of an agent's earlier sessions end empty, wherever they are; those of its current one go on."""

from __future__ import annotations

from domain.rules import Rules
from tests.handlers.conftest import MakePool
from tests.support.pool_harness import Asked, PoolHarness


def wait(pool: PoolHarness, **body: object) -> Asked:
    return pool.post("agent.a.claim", {"wait_s": 30.0, **body})


def tasks(claim: Asked) -> list[str]:
    return [lease["task_id"] for lease in claim.answer.result["leases"]]


async def test_another_session_ends_the_waiting_claims_of_the_earlier_session(pool: PoolHarness) -> None:
    await pool.register("a", session="s1")
    dead, unnamed = wait(pool, session="s1"), wait(pool)
    await pool.rest()

    await pool.register("a", session="s2")
    assert [tasks(dead), tasks(unnamed)] == [[], []]

    claim = wait(pool, session="s2")
    await pool.submit("T")
    assert tasks(claim) == ["T"]


async def test_the_same_session_again_ends_none(pool: PoolHarness) -> None:
    await pool.register("a", session="s1")
    claim = wait(pool, session="s1")
    await pool.rest()

    await pool.register("a", session="s1")
    await pool.register("a", session="s1", capacity=5)
    assert not claim.replies

    await pool.submit("T")
    assert tasks(claim) == ["T"]


async def test_a_registration_without_a_session_ends_those_with_one(pool: PoolHarness) -> None:
    await pool.register("a", session="s1")
    claim = wait(pool, session="s1")
    await pool.rest()
    await pool.register("a")
    assert tasks(claim) == []


async def test_a_woken_claim_of_the_same_session_takes_its_task_after_a_registration(pool: PoolHarness) -> None:
    await pool.register("a", session="s1")
    claim = wait(pool, session="s1")
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
        pool.post("agent.a.register", {"capacity": 10, "session": "s1"})
        await pool.rest()
    await pool.rest()
    assert tasks(claim) == ["T"]


async def test_a_woken_claim_of_an_earlier_session_takes_nothing(pool: PoolHarness) -> None:
    for first, second in (("s1", "s2"), (None, None), (None, "s1"), ("s2", None)):
        named = {} if first is None else {"session": first}
        await pool.given("agent.a.register", capacity=10, **named)
        claim = wait(pool, **named)
        await pool.rest()
        with pool.log.held():
            submitted = pool.post("ops.submit", {})
            await pool.rest()
            registered = pool.post("agent.a.register", {} if second is None else {"session": second})
            await pool.rest()
        await pool.rest()
        assert registered.answer.ok
        assert tasks(claim) == []
        assert pool.task(submitted.answer.result["task_id"]).status == "queued"
        await pool.given("ops.cancel", task_id=submitted.answer.result["task_id"])


async def test_a_claim_that_came_before_the_registration_and_was_parked_after_it_takes_nothing(
    pool: PoolHarness,
) -> None:
    await pool.register("a")
    await pool.submit("other", required_capabilities=["rare"])
    with pool.log.held():
        pool.post("ops.submit", {"required_capabilities": ["rare"]})
        await pool.rest()
        # In the next batch, which wakes the claim that is parked by its own acknowledgement ...
        claim = wait(pool)
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
    with pool.log.held():
        await pool.rest()
        # ... while the registration is decided in the batch behind it.
        pool.post("agent.a.register", {"capacity": 10})
        await pool.rest()
    await pool.rest()
    assert tasks(claim) == []
    assert pool.task("T").status == "queued"


async def test_a_claim_of_a_session_that_left_takes_nothing_of_one_that_registers_meanwhile(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = wait(pool)
    await pool.rest()
    with pool.log.held():
        pool.post("agent.a.deregister")
        await pool.rest()
        pool.post("agent.a.register", {"capacity": 10})
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
    await pool.rest()
    assert pool.task("T").status == "queued"
    assert tasks(claim) == []


async def test_what_an_earlier_session_says_is_no_sign_of_life(make_pool: MakePool) -> None:
    pool = await make_pool(Rules(lost_after_s=10.0))
    await pool.register("a", session="s1")
    await pool.register("a", session="s2")
    await pool.advance(6)
    assert (await pool.request("agent.a.heartbeat", {"session": "s1"})).code == "stale_session"
    await pool.advance(6)
    assert pool.agent("a").status == "lost"


async def test_an_earlier_session_drops_no_directive_of_the_later_one(pool: PoolHarness) -> None:
    await pool.register("a", session="s1")
    token = await pool.holds("a", "T")
    await pool.register("a", session="s2")
    await pool.given("ops.revoke", task_id="T", reason="elsewhere")

    late = await pool.request("agent.a.progress", {"session": "s1", "task_id": "T", "token": token, "percent": 5})
    assert late.code == "stale_session"

    beat = await pool.given("agent.a.heartbeat", session="s2")
    assert beat["directives"] == [{"task_id": "T", "do": "stop", "reason": "elsewhere"}]


async def test_a_repeat_by_an_earlier_session_is_not_told_what_the_later_one_holds(pool: PoolHarness) -> None:
    body = {"capacity": 10, "session": "s1", "command_id": "same"}
    await pool.given("agent.a.register", **body)
    await pool.holds("a", "T")
    assert [lease["task_id"] for lease in (await pool.given("agent.a.register", **body))["leases"]] == ["T"]

    await pool.register("a", session="s2")

    assert (await pool.request("agent.a.register", body)).code == "stale_session"
    assert pool.agent("a").session == "s2"


async def test_a_session_outlives_a_restart(pool: PoolHarness) -> None:
    await pool.register("a", session="s1")
    await pool.register("a", session="s2")
    await pool.restart()
    assert (await pool.request("agent.a.claim", {"session": "s1"})).code == "stale_session"
    assert (await pool.request("agent.a.claim", {"session": "s2"})).ok
