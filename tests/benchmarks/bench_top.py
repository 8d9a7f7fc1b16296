"""What `custody top` costs: python -m tests.benchmarks.bench_top [--agents 500] [--tasks 20000] [--rate 500].

A pool at work is appended to the log of a real broker at so many events a second, without a service. One after the
other, a small and a large terminal show it, and at last one where nothing happens. Prints the time from the start to
the first view, the share of a core that the process of `custody top` takes, its memory, and what it writes.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import sys
import tempfile
import termios
import time
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from handlers.ports import NewMessage
from infra.broker.embedded import BrokerOptions, EmbeddedBroker
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from tests.benchmarks import busy_pool
from tests.benchmarks.arguments import duration, natural, positive
from tests.benchmarks.busy_pool import POOL, BusyPool
from tests.support.checkout import ROOT

AT_ONCE = 25
SETTLE_S = 20.0
"""After the first view the last day's history is folded in the background."""
TICKS = os.sysconf("SC_CLK_TCK")
SCREENS = ((80, 24), (200, 50))


class Top:
    """The process, and what it writes."""

    def __init__(self, process: asyncio.subprocess.Process, parent: int, began: float) -> None:
        self._process = process
        self._parent = parent
        self._began = began
        self.written = bytearray()
        self.live = asyncio.Event()
        self.first_view_s = 0.0
        self.bytes = 0

    def read(self) -> None:
        try:
            chunk = os.read(self._parent, 65_536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._parent)
            return
        self.bytes += len(chunk)
        if not self.live.is_set():
            self.written += chunk
            if b"LIVE" in self.written and b"agent-1" in self.written:
                self.first_view_s = time.monotonic() - self._began
                self.live.set()

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self) -> float:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


@contextlib.asynccontextmanager
async def shown(data: Path, columns: int, rows: int) -> AsyncIterator[Top]:
    """Run top in a terminal of this size."""
    parent, child = pty.openpty()
    fcntl.ioctl(parent, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.cli.main", "top", "--data-dir", str(data), "--pool", POOL),
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    )
    os.close(child)
    top, loop = Top(process, parent, began), asyncio.get_running_loop()
    loop.add_reader(parent, top.read)
    try:
        await top.live.wait()
        yield top
    finally:
        os.write(parent, b"q")
        await process.wait()
        loop.remove_reader(parent)
        os.close(parent)


async def appended(log: NatsEventLog, messages: deque[NewMessage], rate: float, stop: asyncio.Event) -> None:
    """Append events until told to stop, so many a second; 0: all of them, as fast as it goes."""
    position, began, done = await log.last_position(), time.monotonic(), 0
    while messages and not stop.is_set():
        chunk = [messages.popleft() for _ in range(min(AT_ONCE, len(messages)))]
        await log.append(chunk, expected_position=position)
        position += len(chunk)
        done += len(chunk)
        if rate:
            await asyncio.sleep(max(began + done / rate - time.monotonic(), 0))


async def measure(top: Top, log: NatsEventLog, seconds: float, what: str) -> None:
    await asyncio.sleep(SETTLE_S)
    cpu_s, written, began, position = top.cpu_s(), top.bytes, time.monotonic(), await log.last_position()
    await asyncio.sleep(seconds)
    took_s = time.monotonic() - began
    rate = (await log.last_position() - position) / took_s
    share, per_s = (top.cpu_s() - cpu_s) / took_s, (top.bytes - written) / took_s
    print(
        f"{what}, {rate:3.0f} events/s  first view {top.first_view_s:5.1f} s  {100 * share:5.1f} % of a core"
        f"  {top.memory_mib():4.0f} MiB  writes {per_s / 1024:5.1f} KiB/s",
        flush=True,
    )


async def run(options: argparse.Namespace) -> None:
    busy_pool.EVENT_S = 1 / options.rate
    busy_pool.START = datetime.now(UTC) - timedelta(seconds=(options.tasks + options.history) / options.rate)
    pool = BusyPool(agents=options.agents, tasks=2 * options.agents)
    for number in range(options.tasks - 2 * options.agents):
        pool.ask("ops", "submit", {"task_id": f"Q{number}", "title": f"Wait {number}"})
    before = [*pool.take(), *pool.messages(options.history)]
    # Each event continues what came before it: the second screen sees what the first one did not.
    work = deque(pool.messages(int(options.rate * (options.seconds + SETTLE_S + 30)) * len(SCREENS)))
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        data.mkdir()
        async with EmbeddedBroker(data, BrokerOptions(sync_interval="2m")) as broker:
            connection = await connect(broker.url, name="bench", auth=broker.auth("writer"))
            await ensure_stream(connection, POOL)
            log = await NatsEventLog.open(connection, POOL)
            await appended(log, deque(before), 0, asyncio.Event())
            print(f"load {os.getloadavg()[0]:.1f}; {len(pool.state.tasks):,} live tasks, {options.agents} agents")
            for columns, rows in SCREENS:
                stop = asyncio.Event()
                working = asyncio.create_task(appended(log, work, options.rate, stop))
                async with shown(data, columns, rows) as top:
                    await measure(top, log, options.seconds, f"{columns:>3}x{rows}")
                stop.set()
                await working
            async with shown(data, *SCREENS[0]) as top:
                await measure(top, log, options.seconds, " 80x24")
            await log.close()
            await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=positive, default=500)
    parser.add_argument("--tasks", type=positive, default=20_000)
    parser.add_argument("--rate", type=positive, default=500, help="events a second")
    parser.add_argument("--history", type=natural, default=20_000, help="events before")
    parser.add_argument("--seconds", type=duration, default=30)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
