"""A link to the log of a pool in memory, for what watches pools: requests go to the harness's service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from nats.errors import NoRespondersError

from infra.nats.connection import Listeners, PermissionViolation
from tests.support.pool_harness import POOL, PoolHarness

TURNS = 50_000
"""Turns of the loop after which an answer is taken to be lost."""


class FakeClient:
    """Requests that go to the harness's service, as they would go over the broker."""

    connected_url = None

    def __init__(self, pool: PoolHarness) -> None:
        self._pool = pool
        self.silent = False
        """Whether no request is answered."""

    async def request(
        self,
        subject: str,
        payload: bytes,
        timeout: float,  # noqa: ASYNC109 - as the library has it
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        if self._pool._service is None:  # noqa: SLF001 - the harness itself fails where there is none
            raise NoRespondersError
        if self.silent:
            raise TimeoutError
        asked = self._pool.post(subject.removeprefix(f"custody.{POOL}."), payload, headers=headers)
        for _ in range(TURNS):
            if asked.replies:
                return SimpleNamespace(data=asked.replies[0].raw)
            await asyncio.sleep(0)
        raise TimeoutError


class FakeConnection:
    """The connection of a link, as far as what watches a pool uses it."""

    def __init__(self, pool: PoolHarness) -> None:
        self.client = FakeClient(pool)
        self.is_connected = True
        self.violated: Listeners[[PermissionViolation]] = Listeners()


def fake_link(pool: PoolHarness, connection: FakeConnection) -> Any:
    """A link with everything that a `WatchedPool` uses."""
    return SimpleNamespace(connection=connection, log=pool.log, api=None, snapshots=None)
