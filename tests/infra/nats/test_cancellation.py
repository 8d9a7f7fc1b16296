"""A cancellation that comes with the reply ends the task, as any other does."""

import asyncio

import pytest

from infra.nats.cancellation import heeding


async def test_a_cancellation_that_comes_with_the_result_is_heeded() -> None:
    reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    went_on = False

    async def ask() -> None:
        nonlocal went_on
        await heeding(asyncio.wait_for(reply, 10))
        went_on = True

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    reply.set_result("here")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on


async def test_what_is_asked_while_a_cancelled_task_cleans_up_is_answered() -> None:
    reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    reply.set_result("here")
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(await heeding(asyncio.wait_for(reply, 10)))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == ["here"]
