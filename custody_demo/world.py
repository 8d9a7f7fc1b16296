"""What the simulated people and agents share: how they connect, what they have to tell, how long answers took."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import nats

from infra.nats.contract_client import DEFAULT_TIMEOUT_S, CustodyClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Client

    from custody_demo.happenings import Happening
    from custody_demo.plan import Plan

CONNECT_TIMEOUT_S = 5


class World:
    """The stage of one demonstration."""

    def __init__(
        self,
        plan: Plan,
        pool: str,
        url: str,
        credentials: Callable[[str], dict[str, str]],
        tell: Callable[[Happening, str], None],
    ) -> None:
        self.plan = plan
        self.pool = pool
        self.tell = tell
        """Takes what no event says: who crashed, who fell silent, who was refused."""
        self.latencies_s: list[float] = []
        """How long each command took, as its caller saw it; not of claims that wait."""
        self.refusals: dict[str, int] = {}
        """Refused commands by their error's code."""
        self._url = url
        self._credentials = credentials
        self._happened: set[str] = set()
        self.opened = asyncio.Event()
        """Set once there is work for the agents to come for."""
        self._begun = time.monotonic()

    def elapsed_s(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._begun

    def first_time(self, task_id: str) -> bool:
        """Return whether nothing special has befallen the task yet; now it has."""
        first = task_id not in self._happened
        self._happened.add(task_id)
        return first

    async def connect(self, name: str, user: str, **options: Any) -> Client:
        """Return a connection of one's own with the user's rights."""
        return await nats.connect(
            self._url,
            name=f"demo-{name}",
            connect_timeout=CONNECT_TIMEOUT_S,
            allow_reconnect=False,
            **self._credentials(user),
            **options,
        )

    def client(self, nc: Client) -> Asker:
        """Return who asks the pool's service over a connection."""
        return Asker(self, CustodyClient(nc, self.pool))


class Asker:
    """Asks the service, and notes how long each answer took."""

    def __init__(self, world: World, client: CustodyClient) -> None:
        self._world = world
        self._client = client

    async def ask(
        self, tail: str, body: dict[str, Any] | None = None, *, wait_s: float = 0.0, actor: str | None = None
    ) -> dict[str, Any]:
        """Return the result of a command; raises CustodyError. `wait_s`: for how long the answer may wait for work."""
        begun = time.monotonic()
        try:
            reply = await self._client.request(tail, body, actor=actor, timeout=DEFAULT_TIMEOUT_S + wait_s)
        finally:
            if wait_s == 0:
                self._world.latencies_s.append(time.monotonic() - begun)
        result: dict[str, Any] = reply["result"]
        return result
