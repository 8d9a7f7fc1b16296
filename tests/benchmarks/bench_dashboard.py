"""The dashboard's page on a large busy pool: python -m tests.benchmarks.bench_dashboard [--minutes 2] [--events 500].

500 agents, 20,000 live tasks, 500 events a second, written into the log of a real broker as the service writes them.
The dashboard is a process, the browser a real one without a window and a graphics card. Printed are the time to the
first view, frames and long tasks of each view, the page's memory as minutes pass, and what its process needs.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from handlers.ports import MAX_BATCH_MESSAGES
from infra.broker.embedded import EmbeddedBroker
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from tests.benchmarks.arguments import duration, positive
from tests.benchmarks.busy_pool import EVENT_S, POOL, BusyPool
from tests.support.browser import Page, browser
from tests.support.dashboard import DashboardProcess

AGENTS, HELD, QUEUED = 500, 2_000, 18_000
LEASE = {"mode": "fixed", "lease_s": 3_600.0, "grace_s": 60.0}
BATCH_S = 0.1
FRAMES_S = 15
VIEWS = ("now", "agents", "tasks", "statistics")
FIRST_VIEW = """
new MutationObserver((_, observer) => {
  if (!document.querySelector('.strip .value') || !document.querySelector('.lanes canvas')) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => (window.firstView = performance.now())));
}).observe(document, {childList: true, subtree: true});
"""
FRAMES = """
const done = arguments[arguments.length - 1], ends = performance.now() + 1000 * arguments[0];
const frames = [], long = [];
const observer = new PerformanceObserver(list => long.push(...list.getEntries().map(each => each.duration)));
observer.observe({entryTypes: ['longtask']});
let before = performance.now();
const tick = now => {
  frames.push(now - before);
  before = now;
  if (now < ends) requestAnimationFrame(tick);
  else { observer.disconnect(); done([frames.slice(1), long]); }
};
requestAnimationFrame(tick);
"""

BADGE = "const badge = document.querySelector('.badge'); return `${badge.innerText}, ${badge.title}`"


class Source:
    """Writes a busy pool's events into a broker's log, from a thread of its own."""

    def __init__(self, directory: Path, events_per_s: int) -> None:
        self._events_per_s = events_per_s
        self._directory = directory
        self._ready, self._stop = threading.Event(), threading.Event()
        self.broker = EmbeddedBroker(directory / "broker")
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="source")
        self.late_s = 0.0
        """By how much the writing lagged behind its rate at the end."""

    def start(self) -> None:
        self._thread.start()
        while not self._ready.wait(1):
            assert self._thread.is_alive(), "the log could not be written"

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        async with self.broker:
            connection = await connect(self.broker.url, name="bench", auth=self.broker.auth("writer"))
            await ensure_stream(connection, POOL)
            log = await NatsEventLog.open(connection, POOL)
            setup_s = (AGENTS + 3 * HELD + QUEUED) * EVENT_S
            start = datetime.now(UTC) - timedelta(seconds=setup_s + 5)
            pool = BusyPool(agents=AGENTS, tasks=HELD, lease=LEASE, start=start)
            for number in range(QUEUED):
                pool.ask("ops", "submit", {"task_id": f"Q{number}", "title": f"Waits {number}", "lease": LEASE})
            position = 0
            messages = pool.take()
            for begin in range(0, len(messages), MAX_BATCH_MESSAGES):
                some = messages[begin : begin + MAX_BATCH_MESSAGES]
                position = await log.append(some, expected_position=position)
            self._ready.set()
            await self._go_on(pool, log, position)
            await log.close()
            await connection.close()

    async def _go_on(self, pool: BusyPool, log: NatsEventLog, position: int) -> None:
        began, batches = time.monotonic(), 0
        messages = pool.messages(sys.maxsize)
        while not self._stop.is_set():
            pool.now = max(pool.now, datetime.now(UTC) - timedelta(seconds=BATCH_S))
            batch = list(islice(messages, round(self._events_per_s * BATCH_S)))
            position = await log.append(batch, expected_position=position)
            batches += 1
            self.late_s = time.monotonic() - began - batches * BATCH_S
            await asyncio.sleep(max(0.0, -self.late_s))


def first_view(page: Page, url: str) -> list[float]:
    """Open the page some times; return how long it took each time, in ms."""
    page.chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FIRST_VIEW})
    found = []
    for _ in range(5):
        page.visit(f"{url}#/now", width=1920, height=1080)
        found.append(float(page.until("return window.firstView", patience_s=60)))
    return found


def frames(page: Page, view: str) -> str:
    """Look at a view for a while; return what its frames were like."""
    page.run("location.hash = arguments[0]", f"#/{view}")
    time.sleep(2)
    page.chrome.set_script_timeout(FRAMES_S + 60)
    before, began = page_cpu_s(page), time.monotonic()
    took, long = page.chrome.execute_async_script(FRAMES, FRAMES_S)
    share = (page_cpu_s(page) - before) / (time.monotonic() - began)
    took.sort()
    late, longest_task = sum(each > 50 for each in took), max(long, default=0)
    p95 = took[int(len(took) * 0.95)]
    return (
        f"{len(took) / FRAMES_S:5.1f} frames/s, p50 {statistics.median(took):5.1f} ms, p95 {p95:5.1f} ms,"
        f" longest {took[-1]:6.1f} ms, {late} over 50 ms; {len(long)} long tasks, longest {longest_task:.0f} ms;"
        f" {share:.0%} of a core"
    )


def page_cpu_s(page: Page) -> float:
    """Return the processor time of the browser's processes that show pages."""
    service = page.chrome.service
    family, found = {service.process.pid}, 0.0
    for pid in sorted(int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()):
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if parent in family:
                family.add(pid)
                found += process_usage(pid)[0] if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes() else 0
        except OSError:
            continue
    return found


def memory(page: Page) -> str:
    """Return the page's memory after a collection, and its elements."""
    page.chrome.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    heap = page.run("return performance.memory.usedJSHeapSize") / 2**20
    nodes = page.run("return document.querySelectorAll('*').length")
    return f"{heap:6.1f} MB of heap, {nodes} elements"


def process_usage(pid: int) -> tuple[float, float]:
    """Return a process's processor time in seconds and its size in MB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return (int(fields[11]) + int(fields[12])) / ticks, int(resident.split()[1]) / 1024


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=duration, default=2.0)
    parser.add_argument("--events", type=positive, default=500)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; {AGENTS} agents, {HELD + QUEUED} live tasks, {options.events} events/s")
    with tempfile.TemporaryDirectory() as directory, browser() as chrome:
        source = Source(Path(directory), options.events)
        source.start()
        dashboard = DashboardProcess(source.broker, pool=POOL)
        page = Page(chrome)
        try:
            page.visit(dashboard.url, width=1920, height=1080)
            page.until("return !!document.querySelector('.badge-live + nav') && !!document.querySelector('.strip')")
            print("first view, ms:", *(f"{each:.0f}" for each in first_view(page, dashboard.url)))
            cpu, began = process_usage(dashboard.pid)[0], time.monotonic()
            for view in VIEWS:
                print(f"{view:>10}: {frames(page, view)}")
            page.run("location.hash = '#/now'")
            until = time.monotonic() + options.minutes * 60
            while True:
                badge = page.run(
                    "const badge = document.querySelector('.badge'); return `${badge.innerText}, ${badge.title}`"
                )
                print(f"{time.strftime('%H:%M:%S')} {memory(page)}; {badge}")
                if time.monotonic() > until:
                    break
                time.sleep(min(30, max(1, until - time.monotonic())))
            used, size = process_usage(dashboard.pid)
            share = (used - cpu) / (time.monotonic() - began)
            print(f"dashboard's process: {share:.0%} of a core, {size:.0f} MB; writing lagged {source.late_s:.1f} s")
        finally:
            dashboard.kill()
            source.stop()


if __name__ == "__main__":
    main()
