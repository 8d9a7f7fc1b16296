"""How fast the log is on this machine, every acknowledged event on disk: python tests/benchmarks/bench_log.py."""

# ruff: noqa: T201 # prints what it measured

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from handlers.ports import NewMessage
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream

POOL = "bench"
BODY = b'{"specversion":"1.0"' + b" " * 400 + b"}"
HEADERS = {"Content-Type": "application/cloudevents+json", "Custody-Hash": "0" * 64}
SECONDS_EACH = 2.0
BATCH_SIZES = (1, 2, 10, 100, 1_000)
POINT_READS = 300


def events(start: int, count: int) -> list[NewMessage]:
    """Progress reports of 5,000 tasks in turn."""
    return [
        NewMessage(f"custody.{POOL}.evt.task.T{number % 5_000}.progressed", BODY, HEADERS)
        for number in range(start, start + count)
    ]


async def bench_appends(log: NatsEventLog) -> None:
    position = await log.last_position()
    for size in BATCH_SIZES:
        took_s: list[float] = []
        busy_s = 0.0
        began = time.perf_counter()
        while time.perf_counter() - began < SECONDS_EACH:
            messages = events(position, size)
            start, start_cpu = time.perf_counter(), time.process_time()
            position = await log.append(messages, expected_position=position)
            took_s.append(time.perf_counter() - start)
            busy_s += time.process_time() - start_cpu
        rate = len(took_s) * size / sum(took_s)
        print(
            f"append {size:>5}: {rate:>8,.0f} events/s, {statistics.median(took_s) * 1e3:6.2f} ms each (median), "
            f"{busy_s / len(took_s) / size * 1e6:6.1f} µs of this process an event"
        )


async def bench_reads(log: NatsEventLog) -> None:
    last = await log.last_position()
    for _ in range(2):
        count = 0
        start = time.perf_counter()
        async for chunk in log.read(after=0, until=last):
            count += len(chunk)
        took_s = time.perf_counter() - start
        assert count == last
        print(f"read all: {count:,} events, {count / took_s:,.0f}/s, {took_s / count * 1e6:.1f} µs each")


async def bench_points(log: NatsEventLog) -> None:
    reads: dict[str, Callable[[int], Awaitable[object]]] = {
        "last_position": lambda _: log.last_position(),
        "get": lambda number: log.get(1 + number),
        "last_by_subject": lambda number: log.last_by_subject(f"custody.{POOL}.evt.task.T{number}.progressed"),
        "last_by_subject, a miss": lambda number: log.last_by_subject(f"custody.{POOL}.evt.task.T{number}.queued"),
        "history of a task": lambda number: log.history(f"custody.{POOL}.evt.task.T{number}.>"),
        "history, a miss": lambda number: log.history(f"custody.{POOL}.evt.task.X{number}.>"),
    }
    for name, read in reads.items():
        took_s: list[float] = []
        for number in range(POINT_READS):
            start = time.perf_counter()
            await read(number)
            took_s.append(time.perf_counter() - start)
        print(f"{name}: {statistics.median(took_s) * 1e3:.2f} ms (median), {max(took_s) * 1e3:.1f} at most")


async def measure() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedBroker(Path(directory), BrokerOptions(sync_interval="always")) as broker:
            auth = broker.auth("writer")
            connection = await connect(broker.url, name="bench", auth=auth)
            facts = await ensure_stream(connection, POOL, sync_interval=broker.options.sync_interval)
            print(facts.durability())
            log = await NatsEventLog.open(connection, POOL)
            await bench_appends(log)
            await bench_reads(log)
            await bench_points(log)
            await log.close()
            await connection.close()


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    asyncio.run(measure())


if __name__ == "__main__":
    main()
