"""Waiting for what others do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

POLL_S = 0.01
PATIENCE_S = 60


async def until(what: str, holds: Callable[[], Awaitable[bool]], seen: Callable[[], object]) -> None:
    """Wait until something holds; if it does not in time, say what was seen instead."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await holds():  # noqa: ASYNC110 # as others see it
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S} s: {what}; instead: {seen()}") from None
