"""Events a second in a rebuild from the real broker: python -m tests.benchmarks.bench_rebuild [--events 100000]."""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path

from domain.rules import Rules
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.ports import MAX_BATCH_MESSAGES, NewMessage, StoredMessage
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.codec import CloudEventsCodec
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from tests.benchmarks.arguments import positive
from tests.benchmarks.busy_pool import POOL, BusyPool
from tests.support.memory_log import MemoryEventLog

OUTCOMES = 200_000
CODEC = CloudEventsCodec(POOL)


def worked_log(count: int) -> list[NewMessage]:
    """Return the events of a pool at work."""
    pool = BusyPool(agents=100, tasks=2_000)
    messages = list(pool.messages(count))
    size = statistics.mean(len(message.body) for message in messages)
    kinds = ", ".join(f"{events:,} {name}" for name, events in pool.events.most_common())
    print(f"{count:,} events, bodies of {size:.0f} bytes: {kinds}")
    return messages


async def fill(log: NatsEventLog, messages: Sequence[NewMessage]) -> None:
    """Append in batches of the largest size."""
    for start in range(0, len(messages), MAX_BATCH_MESSAGES):
        await log.append(messages[start : start + MAX_BATCH_MESSAGES], expected_position=start)


async def read(log: NatsEventLog, last: int) -> None:
    """Take delivery, and nothing more."""
    async for _ in log.read(after=0, until=last):
        pass


async def read_and_decode(log: NatsEventLog, last: int) -> None:
    """Take delivery, and make events of the messages."""
    async for chunk in log.read(after=0, until=last):
        for message in chunk:
            CODEC.decode(message)


class LocalLog(MemoryEventLog):
    """A log in memory that lets the connection's pings be answered."""

    async def read(self, *, after: int, until: int) -> AsyncGenerator[Sequence[StoredMessage], None]:
        """Every message, in chunks."""
        async for chunk in super().read(after=after, until=until):
            await asyncio.sleep(0)
            yield chunk


async def rebuild(log: NatsEventLog | LocalLog, last: int) -> Memory:
    """What a service does when it starts."""
    memory = Memory(POOL, Rules(), CODEC, outcomes=OUTCOMES)
    assert await catch_up(memory, log) == last
    assert memory.unreadable_count == 0
    return memory


async def measure(options: argparse.Namespace) -> None:
    """Run every measurement in turn, several rounds of all."""
    messages = worked_log(options.events)
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedBroker(Path(directory), BrokerOptions(sync_interval="always")) as broker:
            auth = broker.auth("writer")
            connection = await connect(broker.url, name="bench", auth=auth)
            await ensure_stream(connection, POOL, sync_interval=broker.options.sync_interval)
            log = await NatsEventLog.open(connection, POOL)
            await fill(log, messages)
            last = await log.last_position()
            local = LocalLog(POOL, messages)
            gc.collect()
            gc.freeze()
            runs: dict[str, Callable[[], Awaitable[Memory | None]]] = {
                "read": lambda: read(log, last),
                "read + decode": lambda: read_and_decode(log, last),
                "read + decode + fold": lambda: rebuild(log, last),
                "decode + fold, from memory": lambda: rebuild(local, last),
            }
            rates: dict[str, list[float]] = {}
            for _ in range(options.rounds):
                for name, run in runs.items():
                    gc.collect()
                    start, start_cpu = time.perf_counter(), time.process_time()
                    rebuilt = await run()
                    rates.setdefault(name, []).append(last / (time.perf_counter() - start))
                    rates.setdefault(f"{name} cpu", []).append(last / (time.process_time() - start_cpu))
                    # A service keeps what it rebuilt; letting go of it is no part of the rebuild.
                    del rebuilt
            for name in runs:
                rate, cpu = statistics.median(rates[name]), statistics.median(rates[f"{name} cpu"])
                print(
                    f"{name:<28} {rate:>8,.0f} events/s, {1e6 / rate:5.2f} µs each; {1e6 / cpu:5.2f} of this process"
                    f"  ({min(rates[name]):,.0f} to {max(rates[name]):,.0f})"
                )
            await log.close()
            await connection.close()


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description="Events a second in a rebuild.")
    parser.add_argument("--events", type=positive, default=100_000)
    parser.add_argument("--rounds", type=positive, default=5)
    options = parser.parse_args()
    loop_factory = None
    with contextlib.suppress(ImportError):  # not on Windows
        import uvloop  # noqa: PLC0415 - where there is one

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(measure(options))


if __name__ == "__main__":
    main()
