"""Pools for the tests to talk to; every one of them is checked when its test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.pool_harness import PoolHarness

MakePool = Callable[..., Awaitable[PoolHarness]]
EITHER_WAY = pytest.mark.parametrize("takes_chains", [False, True], ids=["batches", "chains"])
"""The log takes batches only, or chains too."""


@pytest.fixture
def takes_chains() -> bool:
    """Whether the pools' logs take chains; a test that must hold either way is parametrized with `EITHER_WAY`."""
    return False


@pytest.fixture
async def make_pool(takes_chains: bool) -> AsyncIterator[MakePool]:  # noqa: FBT001 # a fixture
    """Serves pools with settings of the test's."""
    made: list[PoolHarness] = []

    async def make(*args: Any, **settings: Any) -> PoolHarness:
        pool = PoolHarness(*args, **{"takes_chains": takes_chains, **settings})
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
