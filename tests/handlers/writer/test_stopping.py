"""A service that stops answers what it took, ends the waits, and leaves nothing half-done."""

from __future__ import annotations

import asyncio

from handlers.writer.replies import REPLIES_AT_ONCE
from tests.handlers.conftest import EITHER_WAY
from tests.support.log_faults import LoseRequest
from tests.support.pool_harness import Asked, PoolHarness

pytestmark = EITHER_WAY


async def stopping(pool: PoolHarness) -> asyncio.Task[bool]:
    return asyncio.create_task(pool.service.stop())


def cancel_writer_at(pool: PoolHarness, last: Asked) -> asyncio.Task[None]:
    """Cancel the writer when it answers a request; return its task."""
    (running,) = (task for task in asyncio.all_tasks() if task.get_name() == "writer")

    def cancel(each: Asked) -> None:
        if each is last:
            running.cancel()

    pool.on_reply = cancel
    return running


async def test_what_is_queued_is_carried_out(pool: PoolHarness) -> None:
    with pool.log.held():
        asked = [pool.post("ops.submit", {"title": str(number)}) for number in range(4)]
        await pool.rest()
        asked += [pool.post("ops.submit", {"title": str(number)}) for number in range(4)]
        stop = await stopping(pool)
        await pool.rest()
        assert not stop.done()
    await pool.rest()
    assert stop.done()
    assert all(each.answer.ok for each in asked)


async def test_waiting_claims_end_empty(pool: PoolHarness) -> None:
    await pool.register("a")
    claim = pool.post("agent.a.claim", {"wait_s": 30.0})
    await pool.rest()
    await pool.stop()
    assert claim.answer.result == {"leases": []}
    assert pool.clock.elapsed_s == 0


async def test_a_claim_that_would_wait_ends_at_once(pool: PoolHarness) -> None:
    await pool.register("a")
    with pool.log.held():
        pool.post("ops.submit", {"required_capabilities": ["gpu"]})
        claim = pool.post("agent.a.claim", {"wait_s": 30.0})
        await pool.rest()
        stop = await stopping(pool)
        await pool.rest()
    await pool.rest()
    assert stop.done()
    assert claim.answer.result == {"leases": []}


async def test_what_comes_too_late_is_refused(pool: PoolHarness) -> None:
    service = pool.service
    await service.stop()
    late = [pool.post("ops.submit"), pool.post("query.tasks"), pool.post("agent.a.register")]
    await pool.rest()
    assert [each.answer.code for each in late] == ["overloaded"] * 3


async def test_commands_in_a_look_up_are_carried_out(pool: PoolHarness) -> None:
    asked = [pool.post("ops.submit", {"task_id": f"T{number}"}) for number in range(3)]
    await pool.stop()
    assert all(each.answer.ok for each in asked)
    assert pool.names().count("submitted") == 3


async def test_a_command_of_two_appends_is_finished(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.register("b")
    with pool.log.held():
        steal = pool.post("ops.steal", {"from": "a", "to": "b", "count": 1})
        await pool.rest()
        stop = await stopping(pool)
        await pool.rest()
    await pool.rest()
    assert stop.done()
    assert steal.answer.result["task_ids"] == ["T"]


async def test_a_broker_that_never_confirms_does_not_hold_the_stop_up(pool: PoolHarness) -> None:
    pool.log.fail_next(*[LoseRequest()] * 1000)
    asked = [pool.post("ops.submit", {"title": str(number)}) for number in range(2)]
    await pool.advance(1)
    queued = pool.post("ops.submit")
    query = pool.post("query.tasks")
    stop = await stopping(pool)
    await pool.advance(9)
    assert not stop.done()
    await pool.advance(12)
    assert stop.done()
    assert {each.answer.code for each in (*asked, queued, query)} == {"unavailable"}
    pool.log.recover()
    pool.forget_service()


async def test_a_stopped_pool_goes_on_where_it_was(pool: PoolHarness) -> None:
    token = await pool.holds("a", "T")
    await pool.stop()
    await pool.advance(5)
    await pool.start()
    assert (await pool.request("agent.a.progress", {"task_id": "T", "token": token, "percent": 1})).ok


async def test_who_is_answered_is_answered_with_the_truth_though_the_writer_ends_amid_it(pool: PoolHarness) -> None:
    with pool.log.held():
        pool.post("ops.pause")
        await pool.rest()
        asked = [pool.post("ops.submit", {"title": str(number)}) for number in range(3 * REPLIES_AT_ONCE)]
        await pool.rest()
    running = cancel_writer_at(pool, asked[REPLIES_AT_ONCE + 1])
    await pool.rest()

    assert running.done()
    assert all(each.answer.ok for each in asked)
    assert pool.names().count("submitted") == len(asked)
    await pool.kill()


async def test_half_a_command_is_not_called_undone_when_the_writer_ends(pool: PoolHarness) -> None:
    await pool.holds("a", "T")
    await pool.register("b")
    with pool.log.held():
        pool.post("ops.submit")
        await pool.rest()
        asked = [pool.post("ops.submit") for _ in range(REPLIES_AT_ONCE + 1)]
        steal = pool.post("ops.steal", {"from": "a", "to": "b", "count": 1})
        await pool.rest()
    cancel_writer_at(pool, asked[0])
    await pool.rest()

    assert pool.names()[-1] == "planned"
    assert "the outcome is unknown" in steal.answer["error"]["message"]
    await pool.kill()
