"""The plain form: a loop of one's own over the tasks."""

import asyncio
import contextlib

import pytest

from custody_client import Client, LeaseLost
from tests.client.conftest import KEPT, Place

RESULT_S = 60.0


async def test_tasks_come_one_after_the_other(place: Place, client: Client) -> None:
    submitted = [await client.submit("report", task_id=f"T{number}") for number in range(3)]
    async with place.worker(capabilities=["report"]) as worker:
        done = []
        async for task in worker.tasks():
            await task.progress(40, "tests green", checkpoint={"step": 1})
            await task.complete({"number": task.task_id})
            done.append(task.task_id)
            if len(done) == 3:
                break
    assert done == ["T0", "T1", "T2"]
    assert await submitted[2].result(RESULT_S) == {"number": "T2"}


async def test_what_is_held_at_the_end_goes_back_with_its_checkpoint(place: Place, client: Client) -> None:
    task = await client.submit("report")
    async with place.worker(capabilities=["report"]) as worker:
        async for held in worker.tasks():
            await held.progress(40, checkpoint=4)
            break
    state = await task.state()
    assert state.status == "queued"
    assert state.handoff is not None
    assert state.handoff.last_checkpoint == 4


async def test_a_lost_task_frees_its_slot(place: Place, client: Client) -> None:
    first = await client.submit("report", lease=KEPT)
    async with place.worker(capabilities=["report"]) as worker:
        tasks = worker.tasks()
        async with contextlib.aclosing(tasks):  # type: ignore[type-var]
            held = await anext(tasks)
            await first.cancel()
            second = await client.submit("report")
            async with asyncio.timeout(RESULT_S):
                other = await anext(tasks)
            assert other.task_id == second.task_id
            assert held.lost is not None
            with pytest.raises(LeaseLost):
                await held.complete()
            await other.complete()


async def test_stop_ends_the_loop(place: Place) -> None:
    async with place.worker(capabilities=["report"]) as worker:
        asyncio.get_running_loop().call_later(0.05, worker.stop)
        assert [task async for task in worker.tasks()] == []
