"""The bare loop, which appends whatever names a task: what any service on this broker pays for a durable answer."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from nats.aio.client import Client

from tests.benchmarks.peers.contenders.contract import Held
from tests.benchmarks.peers.contenders.custody import TIMEOUT_S, connect


async def open_contender(address: dict[str, Any]) -> BareLoop:
    """Connect."""
    return BareLoop(await connect(address))


class BareLoop:
    """A LeaseStore without leases: each step of a task is one append. Which task is next, the callers know."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._queued: deque[str] = deque()

    async def staff(self, workers: int) -> None:
        pass

    async def hold(self, count: int) -> None:
        pass

    async def renew(self, number: int) -> None:
        await self._append(f"held-{number}", 0)

    async def submit(self, task_ids: list[str]) -> None:
        self._queued += task_ids

    async def claim(self, worker: int, wait_s: float = 0.0) -> Held | None:
        if not self._queued:
            return None
        held = Held(self._queued.popleft(), worker, 1)
        await self._append(held.task_id, worker)
        return held

    async def progress(self, held: Held) -> None:
        await self._append(held.task_id, held.worker)

    async def complete(self, held: Held) -> None:
        await self._append(held.task_id, held.worker)

    async def lapse(self, count: int) -> list[float]:
        raise NotImplementedError

    async def close(self) -> None:
        await self.client.close()

    async def _append(self, task_id: str, worker: int) -> None:
        body = {"task_id": task_id, "token": 1, "percent": 40}
        subject = f"custody.default.agent.w{worker}.progress"
        reply = await self.client.request(subject, json.dumps(body).encode(), timeout=TIMEOUT_S)
        if not reply.data.startswith(b'{"ok":true'):
            raise RuntimeError(reply.data.decode())
