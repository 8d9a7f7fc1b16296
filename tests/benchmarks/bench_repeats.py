"""What repeats and look-ups cost, and what ordinary traffic feels of them, through the real broker.

    python -m tests.benchmarks.bench_repeats [--reports 6000] [--repeats 10000] [--seconds 4]

One task was claimed, started, reported on so often, and completed, each with a `command_id`; a thousand others have
ended since, so it has left memory. The service is started again. Then the same `command_id`s come again, 50 at once and
a storm of them, beside 16 callers that report progress on other tasks, each waiting for its reply before it sends the
next. Likewise `query.task` of the ended task, and commands that name it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import nats

from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from tests.benchmarks.arguments import duration, positive
from tests.benchmarks.bench_commands import Load, say, serve

AGENT = "old"
TASK = "LONG"
ENDED = 1_100
"""Tasks that ended after it: more than are kept in memory."""
CALLERS = 16
IN_FLIGHT = 256
AT_ONCE = 50
TIMEOUT_S = 120.0
REPORT: dict[str, object] = {"percent": 40, "message": "compiling"}
"""What every report says: a repeat is the same request again."""

Requests = Callable[[int], tuple[str, dict[str, object]]]
"""The n-th request: the end of its subject, and its body."""


class Storm(NamedTuple):
    """Requests of one kind, sent beside ordinary traffic."""

    name: str
    request: Requests


class History(NamedTuple):
    """The long task's history, and the storms on it."""

    token: int
    reports: int

    def storms(self) -> Iterator[Storm]:
        """Yield the storms: repeats of each kind, and look-ups."""
        on_task: dict[str, object] = {"task_id": TASK, "token": self.token}

        def report(number: int) -> tuple[str, dict[str, object]]:
            turn = number * 7 % self.reports
            return f"agent.{AGENT}.progress", {**on_task, **REPORT, "command_id": f"r{turn}"}

        kinds: dict[str, Requests] = {
            "report": report,
            "start": lambda _: (f"agent.{AGENT}.start", {**on_task, "command_id": "start"}),
            "claim": lambda _: (f"agent.{AGENT}.claim", {"command_id": "claim"}),
            "completion": lambda _: (f"agent.{AGENT}.complete", {**on_task, "command_id": "complete"}),
        }
        for name, request in kinds.items():
            yield Storm(name, request)
        every = list(kinds.values())
        yield Storm("mixed", lambda number: every[number % len(every)](number))
        yield Storm("query.task", lambda _: ("query.task", {"task_id": TASK}))
        yield Storm("cancel of it", lambda _: ("ops.cancel", {"task_id": TASK}))


async def make_history(load: Load, reports: int) -> History:
    """Have the long task worked on and completed, then so many others ended that it leaves memory."""
    lease = {"mode": "fixed", "lease_s": 86_400, "max_renewals": 1_000_000}
    await load.request(f"agent.{AGENT}.register", {"capacity": 10})
    await load.request("ops.submit", {"task_id": TASK, "lease": lease, "payload": {"issue": 1}})
    result = (await load.request(f"agent.{AGENT}.claim", {"command_id": "claim"}))["result"]
    assert isinstance(result, dict)
    token = result["leases"][0]["token"]
    on_task = {"task_id": TASK, "token": token}
    await load.request(f"agent.{AGENT}.start", {**on_task, "command_id": "start"})
    for first in range(0, reports, 500):
        await asyncio.gather(
            *(
                load.request(
                    f"agent.{AGENT}.progress",
                    {**on_task, **REPORT, "command_id": f"r{number}"},
                )
                for number in range(first, min(first + 500, reports))
            )
        )
    await load.request(f"agent.{AGENT}.complete", {**on_task, "command_id": "complete"})
    for first in range(0, ENDED, 100):
        names = [f"E{number}" for number in range(first, first + 100)]
        await asyncio.gather(*(load.request("ops.submit", {"task_id": name}) for name in names))
        await asyncio.gather(*(load.request("ops.cancel", {"task_id": name}) for name in names))
    return History(token, reports)


class Traffic:
    """Latencies of ordinary commands, in seconds."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.turned_away = 0
        self._in_flight = [_new_future() for _ in range(CALLERS)]
        """For each caller: done when it has the reply that it waits for."""

    def take(self) -> tuple[list[float], int]:
        """Return the latencies since the last call, and how many of them were turned away."""
        taken = self.latencies, self.turned_away
        self.latencies, self.turned_away = [], 0
        return taken

    async def answered(self) -> None:
        """Wait until every caller has the reply to the request that it has in flight now, or sends next."""
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*self._in_flight)

    async def run(self, load: Load, number: int) -> None:
        """Report progress on one task after the other, until cancelled."""
        turn = number
        while True:
            task_id, token = load.tokens[turn % len(load.tokens)]
            body = {"task_id": task_id, "token": token, **REPORT}
            started = time.perf_counter()
            reply = await load.client.request(
                "custody.default.agent.bench.progress", json.dumps(body).encode(), timeout=TIMEOUT_S
            )
            self.turned_away += not reply.data.startswith(b'{"ok":true')
            self.latencies.append(time.perf_counter() - started)
            self._in_flight[number].set_result(None)
            self._in_flight[number] = _new_future()
            turn += CALLERS


def _new_future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@contextmanager
def traffic_of(load: Load) -> Iterator[Traffic]:
    """Send ordinary traffic meanwhile."""
    traffic = Traffic()
    running = [asyncio.ensure_future(traffic.run(load, number)) for number in range(CALLERS)]
    try:
        yield traffic
    finally:
        for each in running:
            each.cancel()


async def send(load: Load, storm: Storm, count: int, in_flight: int) -> tuple[float, int]:
    """Send so many requests of a storm; return the seconds that all of them took, and how many were turned away."""
    numbers = iter(range(count))
    turned_away = 0

    async def sender() -> None:
        nonlocal turned_away
        for number in numbers:
            tail, body = storm.request(number)
            reply = await load.client.request(f"custody.default.{tail}", json.dumps(body).encode(), timeout=TIMEOUT_S)
            answer = json.loads(reply.data)
            if answer["ok"] or answer["error"]["code"] == "task_finished":
                continue
            if answer["error"]["code"] not in {"unavailable", "overloaded"}:
                raise RuntimeError(f"{tail} {body}: {answer}")
            turned_away += 1

    began = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(min(in_flight, count))))
    return time.perf_counter() - began, turned_away


def show(name: str, each_ms: float | None, felt: tuple[list[float], int], turned_away: int = 0) -> None:
    """Print one row: the cost of a request of the storm, and what ordinary traffic felt meanwhile."""
    latencies, failed = felt
    cost = " " * 9 if each_ms is None else f"{each_ms:>9.2f}"
    row = " " * 26
    if len(latencies) > 1:
        cuts = statistics.quantiles(latencies, n=100)
        row = f"{cuts[49] * 1e3:>8.1f} {cuts[98] * 1e3:>8.1f} {max(latencies) * 1e3:>8.1f}"
    say(f"{name:<28} {cost} {row} {len(latencies):>7} {failed:>6} {turned_away:>12}")


async def storm_on(load: Load, history: History, options: argparse.Namespace) -> None:
    """Measure ordinary traffic alone, then beside each storm."""
    say(f"{'storm':<28} {'':>9} ordinary traffic{'':<24} {'storm':>19}")
    columns = f"{'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'replies':>7} {'failed':>6} {'turned away':>12}"
    say(f"{'':<28} {'ms each':>9} {columns}")
    with traffic_of(load) as traffic:
        await traffic.answered()
        traffic.take()
        await asyncio.sleep(options.seconds)
        show("no storm", None, traffic.take())
        for storm in history.storms():
            for count, in_flight in ((AT_ONCE, AT_ONCE), (options.repeats, IN_FLIGHT)):
                traffic.take()
                took_s, turned_away = await send(load, storm, count, in_flight)
                # A latency is known when the reply comes, so what the storm delayed is still in flight.
                await traffic.answered()
                show(f"{storm.name}, {count:,}, {in_flight} at once", took_s / count * 1e3, traffic.take(), turned_away)


async def measure(options: argparse.Namespace) -> None:
    """Make the history, start the service again, and print the table."""
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory)
        async with EmbeddedBroker(data_dir, BrokerOptions(sync_interval="always")) as broker:
            process = await serve("custody", data_dir)
            client = await nats.connect(broker.url, **broker.credentials("operator"), inbox_prefix=b"_INBOX.operator")
            load = Load(client, "default")
            await load.prepare()
            history = await make_history(load, options.reports)
            process.send_signal(signal.SIGTERM)
            await process.wait()
            process = await serve("custody", data_dir)
            try:
                await storm_on(load, history, options)
            finally:
                await client.close()
                process.send_signal(signal.SIGTERM)
                await process.wait()


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description="What repeats and look-ups cost.")
    parser.add_argument("--reports", type=positive, default=6_000)
    parser.add_argument("--repeats", type=positive, default=10_000)
    parser.add_argument("--seconds", type=duration, default=4.0)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
