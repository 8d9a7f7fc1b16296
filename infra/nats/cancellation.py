"""Keeps a cancellation that arrives together with a result."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

_T = TypeVar("_T")


async def await_cancellable(awaitable: Awaitable[_T]) -> _T:
    """Return the result; raise CancelledError if this task was cancelled meanwhile.

    Up to Python 3.11, `asyncio.wait_for` drops a cancellation that arrives together with the result. The client
    library awaits replies with it, so a loop around such a request would never end.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    result = await awaitable
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result
