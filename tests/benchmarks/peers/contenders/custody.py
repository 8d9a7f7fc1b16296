"""Custody by its wire contract: nats-py and JSON, one connection for all callers."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.benchmarks.peers.contenders.contract import PERCENT, Held, Lapsed

AT_ONCE = 500
"""Tasks in one submit, and leases of one agent."""
CLAIM = 100
UNSTOLEN = {"steals": 0}
"""What is held stays with its holder, however busy that is."""
TIMEOUT_S = 60
LEAST_TERM_S, CLAIMED_PER_S = 4.0, 500.0
"""Leases that are to end together run for long enough to be claimed before."""
LATEST_S = 120.0


async def open_contender(address: dict[str, Any]) -> Custody:
    """Connect."""
    return Custody(await connect(address), address)


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

    def __init__(self, client: Client, address: dict[str, Any]) -> None:
        self.client = client
        self.address = address
        self._pool = address["pool"]
        self._renewals: list[tuple[str, bytes]] = []
        self._lapses = 0

    async def ask(self, tail: str, body: dict[str, Any]) -> Any:
        """Send a request; return its result."""
        subject, data = f"custody.{self._pool}.{tail}", json.dumps(body).encode()
        parsed = json.loads((await self.client.request(subject, data, timeout=TIMEOUT_S)).data)
        while not parsed["ok"] and parsed["error"]["code"] == "unavailable" and "command_id" in body:
            parsed = json.loads((await self.client.request(subject, data, timeout=TIMEOUT_S)).data)
        if not parsed["ok"]:
            raise RuntimeError(str(parsed))
        return parsed["result"]

    async def staff(self, workers: int) -> None:
        await asyncio.gather(*(self.ask(f"agent.w{number}.register", {"capacity": 2}) for number in range(workers)))

    async def hold(self, count: int) -> None:
        lease = {"mode": "fixed", "lease_s": 86_400, "max_renewals": 1_000_000}
        for agent, leases in await self._held_by("holder", len(self._renewals), count, lease):
            for each in leases:
                body = {"task_id": each["task_id"], "token": each["token"], "percent": 40}
                self._renewals.append((f"custody.{self._pool}.agent.{agent}.progress", json.dumps(body).encode()))

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
            await self._submit_many(tasks)

    async def claim(self, worker: int, wait_s: float = 0.0) -> Held | None:
        body = {"wait_s": wait_s} if wait_s else {}
        leases = (await self.ask(f"agent.w{worker}.claim", body))["leases"]
        return Held(leases[0]["task_id"], worker, leases[0]["token"]) if leases else None

    async def progress(self, held: Held) -> None:
        await self.ask(
            f"agent.w{held.worker}.progress", {"task_id": held.task_id, "token": held.token, "percent": PERCENT}
        )

    async def complete(self, held: Held) -> None:
        await self.ask(f"agent.w{held.worker}.complete", {"task_id": held.task_id, "token": held.token})

    async def lapse(self, count: int) -> list[Lapsed]:
        heard: list[tuple[float, str]] = []
        self._lapses += 1
        term_s = LEAST_TERM_S + count / CLAIMED_PER_S

        async def hear(message: Msg) -> None:
            heard.append((time.time(), message.subject.split(".")[4]))

        # On a connection of its own: answers to others' renewals do not wait behind what it reads.
        reader = await connect(self.address)
        await reader.subscribe(f"custody.{self._pool}.feed.task.*.expired", cb=hear)
        await reader.flush()
        lease = {"mode": "fixed", "lease_s": term_s, "grace_s": 0}
        holders = [agent for agent, _ in await self._held_by(f"lapse-{self._lapses}", 0, count, lease)]
        # A lease is renewed if that moves its end by a tenth: then all end together.
        await asyncio.sleep(term_s / 10)
        due: dict[str, float] = {}
        for beat in await asyncio.gather(*(self.ask(f"agent.{agent}.heartbeat", {}) for agent in holders)):
            due |= {each["task_id"]: datetime.fromisoformat(each["expires_at"]).timestamp() for each in beat["leases"]}
        async with asyncio.timeout(term_s + LATEST_S):
            while len(heard) < len(due):  # noqa: ASYNC110 - a look now and then takes no time from what is measured
                await asyncio.sleep(0.2)
        await reader.close()
        while (await self.ask("ops.cancel", {"status": "queued"}))["more"]:
            pass
        return [Lapsed(due[task_id], at) for at, task_id in heard]

    async def close(self) -> None:
        await self.client.close()

    async def _submit_many(self, tasks: list[dict[str, Any]]) -> None:
        """Submit them, again where a disk was so busy that the service cannot tell whether it did."""
        await self.ask("ops.submit_many", {"tasks": tasks, "command_id": tasks[0]["task_id"]})

    async def _held_by(
        self, name: str, begin: int, end: int, lease: dict[str, Any]
    ) -> list[tuple[str, list[dict[str, Any]]]]:
        """Have new agents hold new tasks, of these numbers; return the leases of each agent."""
        held = []
        for first in range(begin, end, AT_ONCE):
            agent = f"{name}-{first}"
            numbers = range(first, min(first + AT_ONCE, end))
            tasks = [{"task_id": f"{name}-{n}", "lease": lease, "budgets": UNSTOLEN} for n in numbers]
            await self._submit_many(tasks)
            await self.ask(f"agent.{agent}.register", {"capacity": AT_ONCE})
            claims = [self.ask(f"agent.{agent}.claim", {"max": CLAIM}) for _ in range(0, len(tasks), CLAIM)]
            held.append((agent, [each for claim in await asyncio.gather(*claims) for each in claim["leases"]]))
        return held
