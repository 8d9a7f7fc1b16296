"""Asking the pool's service whether it is there: the log does not tell."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from infra.nats.contract_client import CustodyClient, CustodyError
from projections.live.service_health import ServiceHealth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from handlers.ports import Clock
    from infra.nats.connection import NatsConnection

EVERY_S = 2.0
_TIMEOUT_S = 2.0


class HealthPoll:
    """Polls `query.health` of one pool."""

    def __init__(self, connection: NatsConnection, pool: str, clock: Clock) -> None:
        self._connection = connection
        self._pool = pool
        self._clock = clock
        self.health = ServiceHealth()
        """What is known now."""

    async def ask(self) -> None:
        """Ask once."""
        try:
            client = CustodyClient(self._connection.client, self._pool)
            reply = await client.request("query.health", timeout=_TIMEOUT_S)
        except CustodyError as error:
            self.health = self.health.failed(self._clock.now(), str(error))
        else:
            result = reply.get("result")
            self.health = self.health.answered(self._clock.now(), result if isinstance(result, dict) else {})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask again and again during the block."""
        asking = asyncio.ensure_future(self._ask_on())
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _ask_on(self) -> None:
        while True:
            await self.ask()
            await self._clock.sleep(EVERY_S)
