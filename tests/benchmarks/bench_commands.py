"""Commands per second and latency through the real broker, beside a bare loop in the same run.

    python -m tests.benchmarks.bench_commands [--seconds 4] [--callers 1,16,128,512] [--rounds 3]

Both services run in processes of their own, one after the other, on the same broker with `sync_interval: always`; the
load comes from this process: progress reports over 500 held tasks, each caller waiting for its reply before it sends
the next. The bare loop only takes the request, appends what waits (one event as a plain publish, several as a batch)
and replies: what any such service pays for its durability.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nats

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from tests.benchmarks.arguments import duration, positive, positives

if TYPE_CHECKING:
    from nats.aio.client import Client

TASKS = 500
AGENT = "bench"


async def serve(kind: str, data_dir: Path) -> asyncio.subprocess.Process:
    """Start a service process and wait until it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bench_service", kind, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None or (await process.stdout.readline()).strip() != b"ready":
        msg = f"the {kind} service did not start"
        raise RuntimeError(msg)
    return process


class Load:
    """Callers of one pool."""

    def __init__(self, client: Client, pool: str) -> None:
        self.client = client
        self.pool = pool
        self.tokens: list[tuple[str, int]] = []

    async def request(self, tail: str, body: dict[str, object]) -> dict[str, object]:
        """Send one request and return the parsed reply."""
        message = await self.client.request(f"custody.{self.pool}.{tail}", json.dumps(body).encode(), timeout=30)
        reply: dict[str, object] = json.loads(message.data)
        if not reply["ok"]:
            raise RuntimeError(str(reply))
        return reply

    async def prepare(self) -> None:
        """Have the tasks submitted and held."""
        await self.request(f"agent.{AGENT}.register", {"capacity": TASKS})
        lease = {"mode": "fixed", "lease_s": 86_400}
        await asyncio.gather(
            *(
                self.request("ops.submit", {"task_id": f"T{n}", "lease": lease | {"max_renewals": 1_000_000}})
                for n in range(TASKS)
            )
        )
        while len(self.tokens) < TASKS:
            result = (await self.request(f"agent.{AGENT}.claim", {"max": 100}))["result"]
            assert isinstance(result, dict)
            self.tokens += [(lease["task_id"], lease["token"]) for lease in result["leases"]]

    async def drive(self, callers: int, seconds: float) -> tuple[float, list[float]]:
        """Report progress from that many callers; return replies a second and the latencies in seconds."""
        latencies: list[float] = []
        subject = f"custody.{self.pool}.agent.{AGENT}.progress"
        bodies = [
            json.dumps({"task_id": task_id, "token": token, "percent": 40, "message": "compiling"}).encode()
            for task_id, token in self.tokens
        ]
        end = time.perf_counter() + seconds

        async def call(number: int) -> None:
            turn = number
            while (started := time.perf_counter()) < end:
                reply = await self.client.request(subject, bodies[turn % TASKS], timeout=30)
                latencies.append(time.perf_counter() - started)
                if not reply.data.startswith(b'{"ok":true'):
                    raise RuntimeError(reply.data.decode())
                turn += callers

        began = time.perf_counter()
        await asyncio.gather(*(call(number) for number in range(callers)))
        return len(latencies) / (time.perf_counter() - began), latencies


async def measure(options: argparse.Namespace) -> None:
    """Run all rounds and print the table."""
    results: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for _ in range(options.rounds):
        for kind in ("bare", "custody"):
            with tempfile.TemporaryDirectory() as directory:
                data_dir = Path(directory)
                async with EmbeddedBroker(data_dir, BrokerOptions(sync_interval="always")) as broker:
                    process = await serve(kind, data_dir)
                    client = await nats.connect(
                        broker.url, **broker.credentials("operator"), inbox_prefix=b"_INBOX.operator"
                    )
                    load = Load(client, "default")
                    if kind == "custody":
                        await load.prepare()
                    else:
                        load.tokens = [(f"T{n}", n + 1) for n in range(TASKS)]
                    await load.drive(options.callers[-1], 0.5)
                    for callers in options.callers:
                        rate, latencies = await load.drive(callers, options.seconds)
                        cuts = statistics.quantiles(latencies, n=100)
                        results.setdefault((kind, callers), []).append((rate, cuts[49], cuts[98]))
                    await client.close()
                    process.send_signal(signal.SIGTERM)
                    await process.wait()
    say(f"{'':>7}  {'bare loop':>23}   {'custody':>23}")
    columns = f"{'per s':>7} {'p50 ms':>7} {'p99 ms':>7}"
    say(f"{'callers':>7}  {columns}   {columns}  ratio  p50 x")
    for callers in options.callers:
        bare, own = (
            tuple(statistics.median(column) for column in zip(*results[kind, callers], strict=True))
            for kind in ("bare", "custody")
        )
        say(f"{callers:>7}  {row(bare)}   {row(own)}  {own[0] / bare[0]:>5.2f}  {own[1] / bare[1]:>5.2f}")


def row(figures: tuple[float, ...]) -> str:
    """Return rate and latencies as columns."""
    rate, p50_s, p99_s = figures
    return f"{rate:>7.0f} {p50_s * 1e3:>7.2f} {p99_s * 1e3:>7.2f}"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description="Commands per second beside a bare loop.")
    parser.add_argument("--seconds", type=duration, default=4.0)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--callers", type=positives, default=[1, 16, 128, 512])
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
