"""Requests that take time: their number is limited, and what goes wrong in one costs that one."""

from __future__ import annotations

import asyncio

from handlers.service.guarded_tasks import GuardedTasks


async def test_work_that_is_cancelled_before_it_began_is_closed() -> None:
    tasks, begun = GuardedTasks(), False

    async def work() -> None:
        nonlocal begun
        begun = True

    tasks.spawn(work(), lambda: None)
    await asyncio.gather(*tasks.cancel(), return_exceptions=True)
    assert not begun


async def test_work_that_fails_is_answered_by_its_own_fallback() -> None:
    tasks, failed = GuardedTasks(), []

    async def fail() -> None:
        raise LookupError

    tasks.spawn(fail(), lambda: failed.append(True))
    await tasks.finished()
    assert failed == [True]
