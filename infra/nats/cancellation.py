"""A cancellation that arrives together with a result."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

_T = TypeVar("_T")


async def heeding(awaitable: Awaitable[_T]) -> _T:
    """Return the result, unless this task is cancelled before it goes on.

    `asyncio.wait_for`, which the broker's client library awaits replies with, returns a result that is there and drops
    the cancellation that came with it, up to Python 3.11. A loop around such a request then never ends.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    result = await awaitable
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result
