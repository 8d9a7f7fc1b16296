"""CPU of one command through the whole service, without the broker: python -m tests.benchmarks.bench_decide.

Progress reports over held tasks, from the request's bytes to the reply's; the log only counts. `--profile` shows where
the time goes.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import pstats
import statistics
import time
from collections.abc import Sequence

from domain.rules import Rules
from handlers.pool_service import PoolOptions, PoolService
from handlers.ports import NewMessage
from handlers.service.command_service import Incoming
from handlers.telemetry import NO_TELEMETRY, Telemetry
from infra.codec import CloudEventsCodec
from infra.host.clock import SystemClock
from tests.benchmarks.arguments import positive
from tests.support.memory_log import MemoryEventLog

TASKS = 500
CLAIM = 100


class CountingLog(MemoryEventLog):
    """A log that keeps nothing: what it is given is acknowledged at the next turn of the event loop."""

    last = 0

    async def append(self, messages: Sequence[NewMessage], *, expected_position: int) -> int:
        """Count."""
        await asyncio.sleep(0)
        self.last = expected_position + len(messages)
        return self.last


class Load:
    """A pool whose tasks are all held by one agent."""

    def __init__(self, *, keyed: bool, telemetry: Telemetry = NO_TELEMETRY) -> None:
        self.keyed = keyed
        self.rounds = 0
        self.replies: list[bytes] = []
        self.pool = PoolService(
            "bench",
            CountingLog("bench"),
            CloudEventsCodec("bench"),
            SystemClock(),
            Rules(),
            PoolOptions("bench:1:1", "bench", telemetry=telemetry),
            lambda _reply, body, _headers: self.replies.append(body),
        )
        self.reports: list[bytes] = []

    def send(self, tail: str, body: object) -> None:
        """Send one request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.pool.commands.handle(Incoming(f"custody.bench.{tail}", data, "_INBOX.x", {}))

    async def answered(self, count: int) -> list[bytes]:
        """Wait for so many replies; return and forget them."""
        while len(self.replies) < count:  # noqa: ASYNC110 - an event would cost as much as what is measured
            await asyncio.sleep(0)
        replies, self.replies = self.replies, []
        assert all(reply.startswith(b'{"ok":true') for reply in replies), replies[0]
        return replies

    async def prepare(self) -> None:
        """Open the pool, and have the tasks submitted and held."""
        await self.pool.open()
        self.send("agent.a.register", {"capacity": TASKS})
        lease = {"mode": "fixed", "lease_s": 86_400, "max_renewals": 1_000_000}
        for number in range(TASKS):
            self.send("ops.submit", {"task_id": f"T{number}", "lease": lease})
        await self.answered(1 + TASKS)
        for _ in range(TASKS // CLAIM):
            self.send("agent.a.claim", {"max": CLAIM})
        for reply in await self.answered(TASKS // CLAIM):
            for lease in json.loads(reply)["result"]["leases"]:
                report = {"task_id": lease["task_id"], "token": lease["token"], "percent": 40, "message": "compiling"}
                self.reports.append(json.dumps(report).encode())
        await self.report()

    async def report(self) -> None:
        """Report on every task."""
        self.rounds += 1
        for number, body in enumerate(self.reports):
            key = f', "command_id": "{self.rounds}-{number}"}}'.encode() if self.keyed else b"}"
            self.send("agent.a.progress", body[:-1] + key)
        await self.answered(TASKS)


async def measure(rounds: int, *, keyed: bool, profile: bool) -> None:
    """Print the CPU of a command, garbage collection included."""
    load = Load(keyed=keyed)
    await load.prepare()
    gc.collect()
    gc.freeze()
    if profile:
        with cProfile.Profile() as profiler:
            for _ in range(rounds):
                await load.report()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
    else:
        costs_us = []
        for _ in range(rounds):
            start = time.process_time()
            await load.report()
            costs_us.append((time.process_time() - start) / TASKS * 1e6)
        print(f"a progress report: {statistics.median(costs_us):.1f} µs of CPU (median; at best {min(costs_us):.1f})")
    await load.pool.stop()


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description="CPU of one command through the service.")
    parser.add_argument("--rounds", type=positive, default=60)
    parser.add_argument("--keyed", action="store_true", help="give each report a command_id")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    asyncio.run(measure(options.rounds, keyed=options.keyed, profile=options.profile))


if __name__ == "__main__":
    main()
