"""A cancellation that arrives together with the reply ends the task."""

import asyncio

import pytest

from infra.nats.cancellation import await_cancellable


async def test_a_cancellation_that_arrives_with_the_result_ends_the_task() -> None:
    reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    continued = False

    async def ask() -> None:
        nonlocal continued
        await await_cancellable(asyncio.wait_for(reply, 10))
        continued = True

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    reply.set_result("here")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not continued


async def test_what_is_asked_while_a_cancelled_task_cleans_up_is_answered() -> None:
    reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    reply.set_result("here")
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(await await_cancellable(asyncio.wait_for(reply, 10)))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == ["here"]
