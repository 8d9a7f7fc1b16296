"""Claim, progress, complete through the client library, beside a bare client that does the same: tasks a second.

    python -m tests.benchmarks.bench_client [--tasks 600] [--rounds 3] [--slots 1 16 128]

One service and one broker (default sync) on this machine, in processes of their own; both clients in this process, one
after the other in each round, on the same kind of tasks. The bare client is `nats-py`, JSON and a loop for each slot.
Prints the median of the rounds, the ratio, and the processor time that a task takes in the client's process, which a
loaded machine blurs less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import nats
from nats.aio.client import Client as NatsClient

from custody_client import Held, Worker
from tests.benchmarks.arguments import positive
from tests.system.processes import Service, access


class Moment(NamedTuple):
    """A moment, by the wall and by the processor time of this process."""

    wall_s: float
    cpu_s: float

    @classmethod
    def now(cls) -> Moment:
        """Return this moment."""
        return cls(time.perf_counter(), time.process_time())


class Rate(NamedTuple):
    """Tasks a second, and the processor time that each took here."""

    tasks_per_s: float
    cpu_us: float

    @classmethod
    def since(cls, began: Moment, count: int) -> Rate:
        """Return the rate of so many tasks since a moment."""
        now = Moment.now()
        return cls(count / (now.wall_s - began.wall_s), (now.cpu_s - began.cpu_s) / count * 1e6)


async def submit(nc: NatsClient, kind: str, count: int) -> None:
    """Queue tasks of a kind."""
    for start in range(0, count, 500):
        tasks = [{"required_capabilities": [kind]} for _ in range(min(500, count - start))]
        reply = await nc.request("custody.default.ops.submit_many", json.dumps({"tasks": tasks}).encode(), 60)
        assert json.loads(reply.data)["ok"], reply.data


async def bare(nc: NatsClient, kind: str, slots: int, count: int) -> Rate:
    """Work on all tasks with a bare client; return the rate."""

    async def ask(verb: str, **body: Any) -> Any:
        message = await nc.request(f"custody.default.agent.bare-{slots}.{verb}", json.dumps(body).encode(), 60)
        reply = json.loads(message.data)
        assert reply["ok"], reply
        return reply["result"]

    await ask("register", capabilities=[kind], capacity=slots)
    await submit(nc, kind, count)
    done, finished = 0, asyncio.Event()

    async def slot() -> None:
        nonlocal done
        while done < count:
            for lease in (await ask("claim", wait_s=0.2))["leases"]:
                held = {"task_id": lease["task_id"], "token": lease["token"]}
                await ask("progress", **held, percent=50)
                await ask("complete", **held)
                done += 1
                if done == count:
                    finished.set()

    began = Moment.now()
    running = [asyncio.create_task(slot()) for _ in range(slots)]
    await finished.wait()
    rate = Rate.since(began, count)
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await ask("deregister")
    return rate


async def library(nc: NatsClient, url: str, kind: str, slots: int, count: int) -> Rate:
    """Work on all tasks with the library; return the rate."""
    worker = Worker(f"library-{slots}", url=url, slots=slots)
    finished = asyncio.Event()
    done = 0

    @worker.task(kind)
    async def work(held: Held[None]) -> None:
        nonlocal done
        await held.progress(50)
        done += 1
        if done == count:
            finished.set()

    await submit(nc, kind, count)
    began = Moment.now()
    serving = asyncio.create_task(worker.serve())
    await finished.wait()
    rate = Rate.since(began, count)
    worker.stop()
    await serving
    return rate


async def measure(options: argparse.Namespace) -> None:
    """Run both, alternating, and print the medians."""
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    sys.stdout.write(f"{load}; {options.tasks} tasks a run, {options.rounds} rounds\n")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        async with Service("up", Path(directory), broker_sync_interval="2m") as service:
            await service.ready()
            found = access(Path(directory) / "data")
            url = found["servers"].replace("//", f"//{found['user']}:{found['password']}@")
            nc = await nats.connect(url, inbox_prefix=b"_INBOX.operator")
            for slots in options.slots:
                rates: dict[str, list[Rate]] = {"bare": [], "library": []}
                for number in range(options.rounds):
                    kind = f"k-{slots}-{number}"
                    rates["bare"].append(await bare(nc, f"{kind}-b", slots, options.tasks))
                    rates["library"].append(await library(nc, url, f"{kind}-l", slots, options.tasks))
                middle = {
                    name: [statistics.median(part) for part in zip(*each, strict=True)] for name, each in rates.items()
                }
                ratio = middle["library"][0] / middle["bare"][0]
                rows = "  ".join(f"{name} {rate:6.0f}/s {cpu_us:5.0f} us" for name, (rate, cpu_us) in middle.items())
                sys.stdout.write(f"{slots:4} slots  {rows}  ratio {ratio:.2f}\n")
                sys.stdout.flush()
            await nc.close()


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=positive, default=600)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--slots", type=positive, nargs="+", default=[1, 16, 128])
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
