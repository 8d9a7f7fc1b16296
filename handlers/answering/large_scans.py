"""Computations over all live tasks: in a thread where these are many, so that the writer goes on meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

LARGE_POOL = 5_000
"""Live tasks beyond which a thread is worth its cost."""


async def scan(live_tasks: int, compute: Callable[[], _T]) -> _T:
    """Return what `compute` returns, which goes through so many tasks; it may only read what does not change."""
    return await asyncio.to_thread(compute) if live_tasks > LARGE_POOL else compute()
