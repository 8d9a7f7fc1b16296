"""Tasks are handed over: the worker drains, an operator drains the agent, or the handler wants to."""

import asyncio

from custody_client import (
    Client,
    HandOver,
    Held,
)
from tests.client.conftest import Place, eventually

RESULT_S = 60.0


async def test_draining_hands_over_what_is_not_done_with_its_last_checkpoint(place: Place, client: Client) -> None:
    first, second = place.worker("w1"), place.worker("w2")
    began = asyncio.Event()
    checkpoints: list[int | None] = []

    @first.task("report")
    async def endless(held: Held[int]) -> None:
        await held.progress(10, checkpoint=7)
        began.set()
        await asyncio.Event().wait()

    @second.task("report")
    async def report(held: Held[int]) -> str:
        checkpoints.append(held.checkpoint)
        return "done"

    async with place.working(first):
        task = await client.submit("report")
        await began.wait()
    assert (await task.state()).status == "queued"
    async with place.working(second):
        assert await task.result(RESULT_S) == "done"
    assert checkpoints == [7]
    assert (await task.state()).releases == 1


async def test_draining_waits_for_what_ends_in_time(place: Place, client: Client) -> None:
    worker = place.worker(drain_s=10)
    began, finish = asyncio.Event(), asyncio.Event()

    @worker.task("report")
    async def report(held: Held[int]) -> str:
        began.set()
        await eventually(lambda: held.handing_over)
        await finish.wait()
        return "done"

    async with place.working(worker):
        task = await client.submit("report")
        await began.wait()
        worker.stop()
        finish.set()
    assert await task.result(RESULT_S) == "done"


async def test_an_agent_that_an_operator_drains_hands_over(place: Place, client: Client) -> None:
    worker = place.worker(drain_s=0.1)
    asked = asyncio.Event()

    @worker.task("report")
    async def report(held: Held[int]) -> None:
        await held.progress(10, checkpoint=1)
        await eventually(lambda: held.handing_over)
        asked.set()
        await asyncio.Event().wait()

    async with place.working(worker):
        task = await client.submit("report")
        await place.until(task.task_id, lambda task: task["percent"] == 10)
        await client.act("drain", agent_id="w1")
        async with asyncio.timeout(RESULT_S):
            await asked.wait()
        state = await place.until(task.task_id, "queued")
    assert state["handoff"]["last_checkpoint"] == 1


async def test_an_agent_that_is_resumed_keeps_what_it_holds(place: Place, client: Client) -> None:
    worker = place.worker(drain_s=60)
    resumed = asyncio.Event()

    @worker.task("report")
    async def report(held: Held[int]) -> str:
        await held.progress(10)
        await eventually(lambda: held.handing_over)
        await client.act("resume", agent_id="w1")
        await eventually(lambda: not held.handing_over)
        resumed.set()
        return "done"

    async with place.working(worker):
        task = await client.submit("report")
        await place.until(task.task_id, lambda task: task["percent"] == 10)
        await client.act("drain", agent_id="w1")
        assert await task.result(RESULT_S) == "done"
    assert resumed.is_set()


async def test_a_handler_may_hand_over(place: Place, client: Client) -> None:
    worker = place.worker()
    attempts: list[int] = []

    @worker.task("report")
    async def report(held: Held[int]) -> str:
        attempts.append(held.attempt)
        if held.attempt == 1:
            raise HandOver("the disk is full", delay_s=0.05)
        return "done"

    async with place.working(worker):
        task = await client.submit("report")
        assert await task.result(RESULT_S) == "done"
    assert attempts == [1, 2]
    assert (await task.state()).failures == 0
