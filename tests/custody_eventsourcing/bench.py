"""Measures applications of the library on JetStream: python tests/custody_eventsourcing/bench.py."""

# ruff: noqa: T201 # prints what it measured

import argparse
import asyncio
import itertools
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import ApplicationRecorder, StoredEvent

from infra.broker.embedded import BrokerOptions, EmbeddedBroker

SECONDS_EACH = 3.0
STREAM_EVENTS = 100_000
AGGREGATE_EVENTS = 1_000


class Saves(Application[UUID]):
    """The application whose saves are counted."""


def read_section(recorder: ApplicationRecorder, positions: Iterator[int], size: int) -> None:
    """Read so many notifications from the next of the positions."""
    recorder.select_notifications(next(positions), size)


def rate(threads: int, work: Callable[[], object]) -> float:
    """Return how often per second the threads together do the work."""
    stop = time.perf_counter() + SECONDS_EACH

    def repeat() -> int:
        for count in itertools.count(1):
            work()
            if time.perf_counter() > stop:
                return count
        raise AssertionError

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(lambda _: repeat(), range(threads)))
    return done / (time.perf_counter() - start)


def save_two() -> Aggregate:
    """An aggregate with two events that are not stored yet."""
    aggregate = Aggregate()
    aggregate.trigger_event(Aggregate.Event)
    return aggregate


def bench_saves(app: Application[UUID]) -> None:
    for threads in (1, 8, 64):
        print(f"  saves of one event, {threads:>2} threads: {rate(threads, lambda: app.save(Aggregate())):>8,.0f}/s")
    for threads in (1, 8, 64):
        print(f"  saves of two events, {threads:>2} threads: {rate(threads, lambda: app.save(save_two())):>7,.0f}/s")
    known = Aggregate()
    app.save(known)

    def save_next() -> None:
        known.trigger_event(Aggregate.Event)
        app.save(known)

    per_s = rate(1, save_next)
    print(f"  saves to a known aggregate, 1 thread: {per_s:>6,.0f}/s")


def bench_reads(app: Application[UUID]) -> None:
    long = Aggregate()
    for _ in range(AGGREGATE_EVENTS - 1):
        long.trigger_event(Aggregate.Event)
    app.save(long)
    short = save_two()
    app.save(short)
    gets = rate(1, lambda: app.repository.get(short.id))
    print(f"  gets of an aggregate of 2 events, 1 thread: {gets:,.0f}/s")
    gets = rate(1, lambda: app.repository.get(long.id))
    print(f"  replay of an aggregate of {AGGREGATE_EVENTS:,} events: {gets * AGGREGATE_EVENTS:,.0f} events/s")
    stored = rate(1, lambda: app.recorder.select_events(long.id))
    print(f"  the same without the library's part: {stored * AGGREGATE_EVENTS:,.0f} events/s")


def bench_log(recorder: ApplicationRecorder) -> None:
    for start in range(0, STREAM_EVENTS, 1_000):
        recorder.insert_events(
            [
                StoredEvent(f"o{number // 10}", number % 10 + 1, "topic", bytes(200))
                for number in range(start, start + 1_000)
            ]
        )
    last = recorder.max_notification_id() or 0
    for size in (10, 100, 1_000):
        positions = itertools.cycle(range(1, STREAM_EVENTS - size, size))
        sections = rate(1, partial(read_section, recorder, positions, size))
        print(f"  notification log in sections of {size:>5,}: {sections * size:>8,.0f} events/s")
    with recorder.subscribe(gt=last - STREAM_EVENTS) as subscription:
        start_s = time.perf_counter()
        for _ in range(STREAM_EVENTS):
            next(subscription)
        print(f"  subscription catching up: {STREAM_EVENTS / (time.perf_counter() - start_s):,.0f} events/s")
        delays = []
        for number in range(200):
            recorder.insert_events([StoredEvent("live", number, "topic", b"")])
            start_s = time.perf_counter()
            next(subscription)
            delays.append(time.perf_counter() - start_s)
        print(f"  subscription after an insert returned: {sorted(delays)[100] * 1e3:.2f} ms (median)")


def bench(url: str) -> None:
    app = Saves({"PERSISTENCE_MODULE": "custody_eventsourcing", "NATS_URL": url})
    bench_saves(app)
    bench_reads(app)
    bench_log(app.factory.application_recorder())
    app.close()
    assert all(thread.name != "eventsourcing-nats" for thread in threading.enumerate())


async def measure() -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.python_implementation()} {platform.python_version()}")
    for sync_interval in ("always", "2m"):
        print(f"sync_interval {sync_interval}")
        with tempfile.TemporaryDirectory() as directory:
            options = BrokerOptions(sync_interval=sync_interval, enforce_users=False)
            async with EmbeddedBroker(Path(directory), options) as broker:
                await asyncio.to_thread(bench, broker.url)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measures applications of the eventsourcing library on brokers of its own, for a minute and a half."
    )
    parser.parse_args()
    asyncio.run(measure())


if __name__ == "__main__":
    main()
