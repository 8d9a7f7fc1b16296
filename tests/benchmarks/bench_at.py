"""What looks into the past cost, with and without snapshots: python -m tests.benchmarks.bench_at -h."""

# ruff: noqa: T201 # prints what it measured

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import nats
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from domain.timestamps import format_timestamp
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from tests.benchmarks.arguments import positive
from tests.benchmarks.long_log import EVENT_S, POOL, START, fill

DELIVERED = 50_000
NEAR_END = 1_000
"""How far from the end a question about the last events begins."""


def custody(*arguments: str) -> float:
    """Run a command in a process of its own; print its time and its largest size."""
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "infra.cli.main", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    took_s = time.perf_counter() - began
    assert status == 0, arguments
    size = usage.ru_maxrss / 1024
    shown = " ".join(Path(each).name if "/" in each else each for each in arguments)
    print(f"custody {shown:<60} {took_s:7.2f} s  {size:6.0f} MB")
    return took_s


async def delivered(url: str, password: str, last: int) -> float:
    """Take the log's last messages with the client library, as they come, and do nothing with them; return the rate.

    Not more: a library that falls behind by too much is cut off.
    """
    count = min(last, DELIVERED)
    client = await nats.connect(url, user="operator", password=password, inbox_prefix=b"_INBOX.operator")
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=last - count + 1
    )
    done, left = asyncio.Event(), count

    async def take(_: Msg) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    began = time.perf_counter()
    await client.jetstream().subscribe(
        f"custody.{POOL}.evt.>",
        cb=take,
        stream=f"CUSTODY_{POOL}",
        config=config,
        pending_msgs_limit=count + 1,
        pending_bytes_limit=1 << 32,
    )
    await done.wait()
    took_s = time.perf_counter() - began
    print(f"{'delivered by the client library, and dropped':<68} {took_s:7.2f} s  {count / took_s:8,.0f} events/s")
    await client.close()
    return count / took_s


async def audited(url: str, password: str, count: int, directory: Path) -> None:
    """Write every event in each format, and compare with what the library takes just before and just after."""
    before = await delivered(url, password, count)
    for ending in ("csv", "jsonl", "parquet"):
        rate = count / await asyncio.to_thread(custody, "audit", "--output", str(directory / f"audit.{ending}"))
        after = await delivered(url, password, count)
        share = rate / ((before + after) / 2)
        print(f"{f'    as {ending}: {share:.2f} of what the library takes':<80}{rate:8,.0f} events/s")
        before = after


async def run(events: int, *, audits_only: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedBroker(Path(directory) / "broker", BrokerOptions(sync_interval="2m")) as broker:
            began = time.perf_counter()
            await fill(broker, events)
            print(f"{events:,} events written in {time.perf_counter() - began:.1f} s")
            os.environ |= {
                "CUSTODY_NATS": broker.url,
                "CUSTODY_POOL": POOL,
                "CUSTODY_OPERATOR_PASSWORD": broker.credentials("operator")["password"],
                "CUSTODY_WRITER_PASSWORD": broker.credentials("writer")["password"],
            }
            await audited(broker.url, broker.credentials("operator")["password"], events, Path(directory))
            if not audits_only:
                await asyncio.to_thread(measure, Path(directory), events)
    print(
        f"this process and its children at most: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB"
    )


def measure(directory: Path, count: int) -> None:
    near_end = str(count - NEAR_END)
    at_time = format_timestamp(START + timedelta(seconds=EVENT_S * (count - NEAR_END)))
    print("without a snapshot")
    custody("at", "1000", "--json")
    custody("at", near_end, "--json")
    custody("at", at_time, "--json")
    custody("diff", near_end, str(count), "--json")
    custody("snapshot")
    print("with one at the end")
    custody("at", str(count), "--json")
    custody("replay", "--json")
    custody("snapshot")
    print("the whole log")
    custody("audit", "--agent", "a7", "--output", str(directory / "a7.csv"))
    custody("audit", "--task", "T7", "--output", str(directory / "t7.csv"))
    custody("audit", "--from", near_end, "--output", str(directory / "end.csv"))
    custody("export", str(directory / "log.gz"))
    custody("verify", "--file", str(directory / "log.gz"))
    custody("verify")
    print(f"the export has {(directory / 'log.gz').stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=positive, nargs="?", default=200_000)
    only_audits = "only what it takes to write every event out, beside what the client library takes to hand it over"
    parser.add_argument("--audits", action="store_true", help=only_audits)
    given = parser.parse_args()
    if given.events <= NEAR_END:
        parser.error(f"argument events: more than {NEAR_END:,} are needed")
    asyncio.run(run(given.events, audits_only=given.audits))


if __name__ == "__main__":
    main()
