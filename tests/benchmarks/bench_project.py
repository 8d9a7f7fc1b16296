"""Events a second into tables, from the real broker: python -m tests.benchmarks.bench_project [--events 100000].

Beside them the rate at which the same log is only folded: what a projector can at most come to.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from domain.rules import Rules
from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.projector.projector import Projector
from handlers.projector.read_model import Source
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.cli.commands.project import SQL_EVENTS
from infra.codec import CloudEventsCodec
from infra.host.clock import SystemClock
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.sql.database import Database, parse_url
from infra.sql.sql_read_model import SqlReadModel
from projections.read_models.table_projection import TableProjection
from tests.benchmarks.arguments import positive
from tests.benchmarks.long_log import POOL, fill
from tests.support.postgres import binaries, running_postgres

CODEC = CloudEventsCodec(POOL)


async def fold(log: NatsEventLog, count: int) -> None:
    """Fold the log, and keep nothing."""
    began = time.perf_counter(), time.process_time()
    await catch_up(Memory(POOL, Rules(), CODEC, outcomes=0), log)
    report("folded", count, began)


async def project(log: NatsEventLog, url: str, count: int) -> None:
    """Make tables of the log."""

    async def fold_until(position: int) -> Memory:
        memory = Memory(POOL, Rules(), CODEC, outcomes=0)
        await catch_up(memory, log, until=position)
        return memory

    database = Database(parse_url(url))
    model = SqlReadModel(database, POOL, SystemClock())
    projector = Projector(
        Source(log, CODEC, fold_until), model, TableProjection, SystemClock(), print, max_events=SQL_EVENTS
    )
    began = time.perf_counter(), time.process_time()
    await projector.run(follow=False)
    report(f"into {url.partition(':')[0]}", count, began)
    await database.close()


def report(what: str, count: int, began: tuple[float, float]) -> None:
    """Print a rate, and what it took of this process's CPU: the broker and the server have theirs beside it."""
    took_s, cpu_s = time.perf_counter() - began[0], time.process_time() - began[1]
    print(f"{what:<20} {took_s:6.2f} s  {count / took_s:9,.0f} events/s  CPU {cpu_s / count * 1e6:4.0f} µs an event")


async def measure(count: int) -> None:
    """Fill a log, and measure."""
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedBroker(Path(directory) / "broker", BrokerOptions(sync_interval="2m")) as broker:
            await fill(broker, count)
            auth = broker.auth("operator")
            connection = await connect(broker.url, name="bench", auth=auth)
            log = await NatsEventLog.open(connection, POOL)
            await fold(log, count)
            await project(log, f"sqlite:///{directory}/bench.db", count)
            if binaries() is None:
                print("no PostgreSQL server is installed")
            else:
                with running_postgres() as server:
                    await project(log, server.url(), count)
            await log.close()
            await connection.close()


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=positive, default=100_000)
    asyncio.run(measure(parser.parse_args().events))


if __name__ == "__main__":
    main()
