"""Questions to a log of `long_log`, with time and memory: python -m tests.benchmarks.bench_long DIRECTORY [--all].

For ten million events: `python -m tests.benchmarks.long_log DIRECTORY 10000000 --snapshots 100000` first. `--all` goes
through the whole log as well.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from infra.broker.data_dir import DataDir
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from tests.benchmarks.bench_at import custody
from tests.benchmarks.long_log import POOL

EVERY = 100_000
"""Events between two snapshots."""
LEAST = 2 * EVERY


def ask(last: int) -> None:
    """Ask for moments at, near and far from a snapshot, and for what is about few events."""
    half = last // 2 // EVERY * EVERY
    for position in (last, last - 1, half, half + EVERY // 2, half + EVERY - 1):
        custody("at", str(position), "--json")
    for position in (half, half + EVERY - 2_000):
        custody("diff", str(position), str(position + 1_000), "--json")
    custody("history", f"T{half // 8}")
    custody("audit", "--task", f"T{half // 8}")
    custody("audit", "--from", str(half), "--to", str(half + 1_000))
    custody("audit", "--agent", "a7", "--from", str(last - 10_000))


def go_through(directory: Path) -> None:
    """Go through the whole log."""
    custody("audit", "--output", str(directory / "audit.csv"))
    custody("audit", "--agent", "a7", "--output", str(directory / "a7.csv"))
    custody("verify")


async def measure(directory: Path, *, everything: bool) -> None:
    """Run the questions against a broker on the directory."""
    async with EmbeddedBroker(directory, BrokerOptions(sync_interval="2m", start_timeout_s=600)) as broker:
        auth = broker.auth("operator")
        connection = await connect(broker.url, name="bench", auth=auth)
        log = await NatsEventLog.open(connection, POOL)
        last = await log.last_position()
        await log.close()
        await connection.close()
        os.environ |= {
            "CUSTODY_NATS": broker.url,
            "CUSTODY_POOL": POOL,
            "CUSTODY_OPERATOR_PASSWORD": broker.credentials("operator")["password"],
            "CUSTODY_WRITER_PASSWORD": broker.credentials("writer")["password"],
        }
        if last < LEAST:
            sys.exit(f"bench_long: the log has {last:,} events, and the questions need {LEAST:,}")
        print(f"{last:,} events")
        await asyncio.to_thread(ask, last)
        if everything:
            await asyncio.to_thread(go_through, directory)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    if not DataDir.at(given.directory).broker.is_dir():
        parser.error(f"argument directory: {given.directory} has no log; tests.benchmarks.long_log makes one")
    asyncio.run(measure(given.directory, everything=given.all))


if __name__ == "__main__":
    main()
