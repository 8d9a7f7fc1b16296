"""A service that dies between two appends of one command leaves nothing that the next one cannot finish."""

from __future__ import annotations

import asyncio

from domain.events.agent import Deregistered
from domain.events.task import Released
from tests.handlers.conftest import EITHER_WAY
from tests.support.log_faults import LoseAck, LoseRequest
from tests.support.pool_harness import PoolHarness

pytestmark = EITHER_WAY


async def holds_many(pool: PoolHarness, count: int) -> None:
    await pool.register("a", capacity=500)
    for number in range(count):
        pool.post("ops.submit", {"title": str(number)})
    await pool.rest()
    while pool.state.tasks_held("a") < count:
        await pool.given("agent.a.claim", max=100)


async def test_a_large_deregistration_goes_in_two_appends_and_is_told_again(pool: PoolHarness) -> None:
    await holds_many(pool, 450)
    before = len(pool.log.append_sizes)
    first = await pool.request("agent.a.deregister", {"command_id": "same"})
    assert pool.log.append_sizes[before:] == [800, 101]
    assert first.result == {"released": 450}
    assert pool.state.tasks_held("a") == 0
    assert (await pool.request("agent.a.deregister", {"command_id": "same"})).raw == first.raw
    await pool.restart()
    assert (await pool.request("agent.a.deregister", {"command_id": "same"})).raw == first.raw


async def test_a_deregistration_cut_in_half_is_finished_by_its_repeat(pool: PoolHarness) -> None:
    await holds_many(pool, 450)
    pool.log.fail_next(LoseAck())
    pool.post("agent.a.deregister", {"command_id": "same"})
    await pool.rest()
    await pool.restart()
    assert pool.state.tasks_held("a") == 50
    assert not pool.events(Deregistered)

    reply = await pool.request("agent.a.deregister", {"command_id": "same"})

    assert reply.ok
    assert len(pool.events(Released)) == 450
    assert len(pool.events(Deregistered)) == 1
    assert (await pool.request("agent.a.deregister", {"command_id": "same"})).raw == reply.raw


async def test_what_was_stored_without_an_answer_is_answered_after_the_restart(pool: PoolHarness) -> None:
    pool.log.fail_next(LoseAck())
    pool.post("ops.submit", {"task_id": "T", "command_id": "same"})
    await pool.rest()
    await pool.restart()
    assert (await pool.request("ops.submit", {"task_id": "T", "command_id": "same"})).names == ["submitted"]
    assert pool.names().count("submitted") == 1


async def test_what_was_not_stored_is_done_by_the_repeat(pool: PoolHarness) -> None:
    pool.log.fail_next(LoseRequest())
    pool.post("ops.submit", {"task_id": "T", "command_id": "same"})
    await pool.rest()
    await pool.restart()
    assert "submitted" not in pool.names()
    assert (await pool.request("ops.submit", {"task_id": "T", "command_id": "same"})).names == ["submitted"]


async def test_a_start_on_an_empty_log_opens_it_once(pool: PoolHarness) -> None:
    assert pool.names() == ["opened", "led"]
    await pool.restart()
    assert pool.names() == ["opened", "led", "led"]


async def test_a_start_goes_through_mishaps(pool: PoolHarness) -> None:
    await pool.stop()
    pool.log.fail_next(LoseAck(), LoseRequest())
    pool.make_service()
    opening = pool.service.open()
    task = asyncio.ensure_future(opening)
    await pool.advance(2)
    assert task.done()
    assert (await pool.request("query.health")).result["leading"]
    assert pool.names() == ["opened", "led", "led"]


async def test_leases_survive_with_their_tokens_and_terms(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T", payload={"x": 1})
    await pool.given("agent.a.progress", task_id="T", token=token, percent=40, checkpoint={"at": 3})
    before = await pool.given("query.task", task_id="T")
    await pool.restart(after_s=30)
    assert await pool.given("query.task", task_id="T") == before
    lease = await pool.given("agent.a.lease", task_id="T", token=token)
    assert (lease["token"], lease["payload"]) == (token, {"x": 1})
