"""Waiting in tests for what has to happen."""

import asyncio
from collections.abc import Callable

PATIENCE_S = 60.0
"""Much longer than anything takes, on a busy machine too: what never happens fails all the same."""


async def eventually(condition: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)
