"""A wake-up is never lost: no claim waits beside a queued task that its agent could take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from domain.events.agent import Lost
from domain.rules import Rules
from handlers.ports import AppendRejectedError, NewMessage
from tests.handlers.conftest import EITHER_WAY, MakePool
from tests.support.pool_harness import Asked, PoolHarness

pytestmark = EITHER_WAY

FIXED = {"mode": "fixed", "lease_s": 50_000}


def wait(pool: PoolHarness, agent_id: str, wait_s: float = 30.0, **body: Any) -> Asked:
    return pool.post(f"agent.{agent_id}.claim", {"wait_s": wait_s, **body})


def tasks(claim: Asked) -> list[str]:
    return [lease["task_id"] for lease in claim.answer.result["leases"]]


async def test_a_paused_agents_claim_waits_and_the_next_one_gets_the_task(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    first, second = wait(pool, "a"), wait(pool, "b")
    await pool.given("ops.pause", agent_id="a")
    await pool.submit("T")
    assert tasks(second) == ["T"]
    assert not first.replies
    await pool.submit("U")
    assert not first.replies
    await pool.given("ops.resume", agent_id="a")
    assert tasks(first) == ["U"]


@pytest.mark.parametrize("verb", ["pause", "drain"])
@pytest.mark.parametrize("agent_id", ["a", None], ids=["agent", "pool"])
async def test_a_claim_on_a_closed_gate_waits_for_it_to_open(
    pool: PoolHarness, verb: str, agent_id: str | None
) -> None:
    await pool.register("a")
    gate = {} if agent_id is None else {"agent_id": agent_id}
    await pool.given(f"ops.{verb}", **gate)
    await pool.submit("T")
    claim = wait(pool, "a")
    await pool.advance(10)
    assert not claim.replies
    assert (await pool.request("agent.a.claim")).code == "paused", "without wait_s it is refused"
    await pool.given("ops.resume", **gate)
    assert tasks(claim) == ["T"]


async def test_a_claim_on_a_closed_gate_ends_empty_when_its_time_is_over(pool: PoolHarness) -> None:
    await pool.register("a")
    await pool.given("ops.pause")
    claim = wait(pool, "a", 5.0)
    await pool.submit("T")
    await pool.advance(5.1)
    assert tasks(claim) == []


Free = Callable[[PoolHarness, int], Awaitable[Any]]
WAYS_TO_ROOM: dict[str, Free] = {
    "completed": lambda pool, token: pool.given("agent.a.complete", task_id="H", token=token),
    "failed": lambda pool, token: pool.given("agent.a.fail", task_id="H", token=token, error="x", retryable=False),
    "blocked": lambda pool, token: pool.given("agent.a.block", task_id="H", token=token, reason="x"),
    "cancelled": lambda pool, _token: pool.given("ops.cancel", task_id="H"),
    "stolen": lambda pool, _token: pool.given("ops.steal", from_="a", to="b", task_ids=["H"]),
}


@pytest.mark.parametrize("free", WAYS_TO_ROOM.values(), ids=WAYS_TO_ROOM)
async def test_room_wakes_who_waits(pool: PoolHarness, free: Free) -> None:
    await pool.register("a", capacity=2)
    await pool.register("b", capabilities=["other"])
    token = await pool.holds("a", "H", lease=FIXED)
    claim, second = wait(pool, "a"), wait(pool, "a")
    await pool.submit("T")
    assert tasks(claim) == ["T"]
    await pool.submit("U", required_capabilities=[])
    if not pool.state.task("U") or pool.task("U").status != "queued":
        pytest.fail("only a could take it")
    assert not second.replies, "its agent is full"
    await free(pool, token)
    assert tasks(second) == ["U"]


BECOMES_ABLE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "capacity raised": ({"capacity": 2}, {"capacity": 3}),
    "capability added": ({"capacity": 3}, {"capacity": 3, "capabilities": ["gpu"]}),
}


@pytest.mark.parametrize(("before", "after"), BECOMES_ABLE.values(), ids=BECOMES_ABLE)
async def test_an_agent_that_becomes_able_to_take_the_work_is_woken(
    pool: PoolHarness, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """The same session registers again with more; a claim of a life that goes on is not ended by that."""
    await pool.register("a", session="s", **before)
    await pool.submit("H")
    await pool.given("agent.a.claim", session="s")
    first, second = wait(pool, "a", session="s"), wait(pool, "a", session="s")
    await pool.submit("T")
    assert tasks(first) == ["T"]
    await pool.submit("U", required_capabilities=after.get("capabilities", []))
    assert not second.replies
    await pool.register("a", session="s", **after)
    assert tasks(second) == ["U"]


async def test_a_claim_of_an_agent_that_is_revived_while_it_is_recorded_as_lost_goes_on_waiting(
    make_pool: MakePool,
) -> None:
    pool = await make_pool(Rules(lost_after_s=10.0))
    await pool.register("a")
    claim = wait(pool, "a")
    with pool.log.held():
        await pool.advance(11)
        pool.post("ops.submit", {"task_id": "T"})
        pool.post("agent.a.heartbeat")
        await pool.rest()
    await pool.rest()
    assert pool.events(Lost)
    assert pool.agent("a").status == "live"
    assert tasks(claim) == ["T"]


async def test_a_woken_claim_that_takes_another_task_passes_its_wake_up_on(pool: PoolHarness) -> None:
    """The first claim is woken for T, and finds the more urgent U; the second must get T."""
    await pool.register("a", capabilities=["gpu"])
    await pool.register("b")
    first, second = wait(pool, "a"), wait(pool, "b")
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
        pool.post("ops.submit", {"task_id": "U", "priority": "critical", "required_capabilities": ["gpu"]})
        await pool.rest()
    await pool.rest()
    assert {*tasks(first), *tasks(second)} == {"T", "U"}


async def test_a_woken_claim_whose_time_ends_passes_its_wake_up_on(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    first, second = wait(pool, "a", 5.0), wait(pool, "b", 30.0)
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
        await pool.clock.stall(6)
    await pool.rest()
    assert tasks(first) == []
    assert tasks(second) == ["T"]


async def test_a_woken_claim_of_an_agent_that_leaves_passes_its_wake_up_on(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    first, second = wait(pool, "a"), wait(pool, "b")
    await pool.rest()
    with pool.log.held():
        pool.post("ops.submit", {"task_id": "T"})
        await pool.rest()
        pool.post("agent.a.deregister")
        await pool.rest()
    await pool.rest()
    assert first.answer.code == "unknown_agent"
    assert tasks(second) == ["T"]


async def test_a_woken_claim_whose_grant_the_broker_does_not_take_passes_its_wake_up_on(pool: PoolHarness) -> None:
    await pool.register("a", "b")
    first, second = wait(pool, "a"), wait(pool, "b")
    await pool.rest()

    def refuse_a(message: NewMessage) -> None:
        if message.subject.endswith(".leased") and b'"agent_id":"a"' in message.body:
            raise AppendRejectedError("not for a")

    pool.log.on_message = refuse_a
    await pool.submit("T")
    assert first.answer.code == "invalid_command"
    assert tasks(second) == ["T"]


async def test_many_tasks_wake_as_many_claims_in_their_order(pool: PoolHarness) -> None:
    await pool.register("a", "b", "c")
    claims = [wait(pool, agent_id) for agent_id in "abc"]
    await pool.rest()
    with pool.log.held():
        pool.post("ops.pause", {"agent_id": "b"})
        for number in range(3):
            pool.post("ops.submit", {"task_id": f"T{number}"})
        await pool.rest()
    await pool.rest()
    assert tasks(claims[0]) == ["T0"]
    assert tasks(claims[2]) == ["T1"]
    assert not claims[1].replies
    await pool.given("ops.resume", agent_id="b")
    assert tasks(claims[1]) == ["T2"]


async def test_a_claim_that_takes_many_leaves_the_others_waiting_in_their_places(make_pool: MakePool) -> None:
    pool = await make_pool()
    await pool.register("a", "b", "c")
    first, second, third = wait(pool, "a", max=10), wait(pool, "b"), wait(pool, "c")
    await pool.rest()
    with pool.log.held():
        for number in range(3):
            pool.post("ops.submit", {"task_id": f"T{number}"})
        await pool.rest()
    await pool.rest()
    assert tasks(first) == ["T0", "T1", "T2"]
    assert not second.replies
    await pool.submit("U")
    assert tasks(second) == ["U"]
    assert not third.replies


async def test_a_claim_that_is_woken_again_before_its_first_wake_up_is_settled_leaves_none_behind(
    pool: PoolHarness,
) -> None:
    """c finds that T should go to another agent, and is woken for U when b's wake-up is settled, before its own is."""
    await pool.register("b", "c")
    await pool.submit("T", retry={"delay_s": 4, "backoff": 1, "max_delay_s": 4})
    token = await pool.assign("c", "T")
    await pool.given("agent.c.fail", task_id="T", token=token, error="b should take it")
    await pool.advance(4.5)
    await pool.given("ops.pause")
    first, second = wait(pool, "b"), wait(pool, "c")
    await pool.submit("S", priority="critical")

    def hold(message: NewMessage) -> None:
        if message.subject.endswith(".leased"):
            pool.log.hold()

    pool.log.on_message = hold
    pool.post("ops.resume")
    await pool.rest()
    pool.post("ops.submit", {"task_id": "U"})
    await pool.rest()
    pool.log.on_message = lambda _message: None
    pool.log.release()
    await pool.rest()
    assert (tasks(first), tasks(second)) == (["S"], ["U"])

    third = wait(pool, "c")
    await pool.advance(10)
    assert tasks(third) == ["T"]
    fourth = wait(pool, "c")
    await pool.submit("V")
    assert tasks(fourth) == ["V"]
