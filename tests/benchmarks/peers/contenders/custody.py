"""Custody by its wire contract: nats-py and JSON, one connection for all callers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats
from nats.aio.client import Client

from tests.benchmarks.peers.contenders.contract import TERM_S, Held

POOL = "default"
AT_ONCE = 500
"""Tasks in one submit, and leases of one agent."""
CLAIM = 100
TIMEOUT_S = 60


async def open_contender(address: dict[str, Any]) -> Custody:
    """Connect."""
    return Custody(await connect(address))


async def connect(address: dict[str, Any]) -> Client:
    """Connect as the operator, who may send what agents send."""
    return await nats.connect(
        address["url"],
        user=address["user"],
        password=address["password"],
        inbox_prefix=f"_INBOX.{address['user']}".encode(),
    )


class Custody:
    """A LeaseStore."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._renewals: list[tuple[str, bytes]] = []

    async def ask(self, tail: str, body: dict[str, Any]) -> Any:
        """Send a request; return its result."""
        reply = await self.client.request(f"custody.{POOL}.{tail}", json.dumps(body).encode(), timeout=TIMEOUT_S)
        parsed = json.loads(reply.data)
        if not parsed["ok"]:
            raise RuntimeError(str(parsed))
        return parsed["result"]

    async def staff(self, workers: int) -> None:
        await asyncio.gather(*(self.ask(f"agent.w{number}.register", {"capacity": 2}) for number in range(workers)))

    async def hold(self, count: int) -> None:
        lease = {"mode": "fixed", "lease_s": 86_400, "max_renewals": 1_000_000}
        for begin in range(0, count, AT_ONCE):
            tasks = [{"task_id": f"held-{begin + n}", "lease": lease} for n in range(min(AT_ONCE, count - begin))]
            agent = f"holder-{begin // AT_ONCE}"
            await self.ask("ops.submit_many", {"tasks": tasks})
            await self.ask(f"agent.{agent}.register", {"capacity": AT_ONCE})
            while len(self._renewals) < begin + len(tasks):
                for each in (await self.ask(f"agent.{agent}.claim", {"max": CLAIM}))["leases"]:
                    body = {"task_id": each["task_id"], "token": each["token"], "percent": 40}
                    self._renewals.append((f"custody.{POOL}.agent.{agent}.progress", json.dumps(body).encode()))
            # What is begun is not given to an agent with less to do.
            await asyncio.gather(*(self.renew(begin + number) for number in range(len(tasks))))

    async def renew(self, number: int) -> None:
        subject, body = self._renewals[number % len(self._renewals)]
        reply = await self.client.request(subject, body, timeout=TIMEOUT_S)
        if not reply.data.startswith(b'{"ok":true'):
            raise RuntimeError(reply.data.decode())

    async def submit(self, task_ids: list[str]) -> None:
        if len(task_ids) == 1:
            await self.ask("ops.submit", {"task_id": task_ids[0]})
        for begin in range(0, len(task_ids) if len(task_ids) > 1 else 0, AT_ONCE):
            tasks = [{"task_id": each} for each in task_ids[begin : begin + AT_ONCE]]
            await self.ask("ops.submit_many", {"tasks": tasks})

    async def claim(self, worker: int, wait_s: float = 0.0) -> Held | None:
        body = {"wait_s": wait_s} if wait_s else {}
        leases = (await self.ask(f"agent.w{worker}.claim", body))["leases"]
        return Held(leases[0]["task_id"], worker, leases[0]["token"]) if leases else None

    async def progress(self, held: Held) -> None:
        await self.ask(
            f"agent.w{held.worker}.progress", {"task_id": held.task_id, "token": held.token, "percent": TERM_S // 4}
        )

    async def complete(self, held: Held) -> None:
        await self.ask(f"agent.w{held.worker}.complete", {"task_id": held.task_id, "token": held.token})

    async def close(self) -> None:
        await self.client.close()
