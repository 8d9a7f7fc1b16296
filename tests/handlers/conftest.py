"""Pools for the tests to talk to; every one of them is checked when its test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.pool_harness import PoolHarness

MakePool = Callable[..., Awaitable[PoolHarness]]


@pytest.fixture
async def make_pool() -> AsyncIterator[MakePool]:
    """Serves pools with settings of the test's."""
    made: list[PoolHarness] = []

    async def make(*args: Any, **settings: Any) -> PoolHarness:
        pool = PoolHarness(*args, **settings)
        made.append(pool)
        await pool.start()
        return pool

    yield make
    for pool in made:
        await pool.finish()


@pytest.fixture
async def pool(make_pool: MakePool) -> PoolHarness:
    """A pool with the default settings."""
    return await make_pool()
