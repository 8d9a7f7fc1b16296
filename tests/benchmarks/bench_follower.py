"""What watching a pool costs: python -m tests.benchmarks.bench_follower [--agents 500] [--tasks 20000] [--seconds 60].

Events of a pool at work are folded as a follower folds them, with the live view of a dashboard; as often as in the
dashboard, by the log's time, a tick gathers what has changed. Prints the time of each part, and its share of a core at
so many events a second. Alternates with a fold that has no view, in one run.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import time
from collections.abc import Iterable

from custody_dashboard.watch.pool_watch import TICK_S
from domain.recorded import Recorded
from domain.rules import Rules
from handlers.memory.catch_up import age_objects
from handlers.memory.memory import Memory
from handlers.ports import NewMessage, StoredMessage
from projections.live.history import History
from projections.live.live_view import LiveView, Reading
from projections.live.task_rows import TaskFilter, chosen_tasks, task_row
from tests.benchmarks import busy_pool
from tests.benchmarks.arguments import natural, positive
from tests.benchmarks.busy_pool import POOL, BusyPool

CHUNK = 25
"""Messages that come together."""


def numbered(messages: Iterable[NewMessage]) -> list[StoredMessage]:
    return [
        StoredMessage(number, message.subject, message.body, dict(message.headers))
        for number, message in enumerate(messages, start=1)
    ]


def folded(pool: BusyPool, messages: list[StoredMessage]) -> tuple[Memory, list[Recorded]]:
    memory, records = Memory(POOL, Rules(), pool.codec, outcomes=0), list[Recorded]()
    memory.fold(messages, taken=records.extend)
    return memory, records


class Watching:
    """A fold with a view of a busy pool, beside one without."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        busy_pool.EVENT_S = 1 / options.rate
        pool = BusyPool(agents=options.agents, tasks=2 * options.agents)
        for number in range(options.tasks - 2 * options.agents):
            task = {"task_id": f"Q{number}", "title": f"Wait {number}", "required_capabilities": ["code"]}
            pool.ask("ops", "submit", task)
        prepared = pool.take()
        worked = pool.messages(options.history + options.rate * options.seconds)
        messages = numbered([*prepared, *worked])
        before, self.messages = messages[: -options.rate * options.seconds], messages[-options.rate * options.seconds :]
        self.memory, past = folded(pool, before)
        self.plain, _ = folded(pool, before)
        self.view = LiveView()
        self._begin(past)

    def _begin(self, past: list[Recorded]) -> None:
        history = History()
        begin = time.process_time()
        history.observe(past)
        took_s = time.process_time() - begin
        begin = time.process_time()
        self.view.reset(self.memory.state, history)
        reset_s = time.process_time() - begin
        begin = time.process_time()
        self.view.tick(self._reading())
        first_s = time.process_time() - begin
        age_objects()
        gc.collect()
        state = self.memory.state
        print(f"{len(state.tasks):,} live tasks, {state.indexes.counts.held:,} held, {len(state.agents)} agents")
        print(f"history             {took_s / len(past) * 1e6:6.1f} µs an event, of {len(past):,}")
        print(f"reset               {reset_s * 1e3:6.1f} ms, and {first_s * 1e3:.1f} ms for the first tick")

    def _observe(self, records: list[Recorded]) -> None:
        self.view.observe(records, self.memory.state)

    def _reading(self) -> Reading:
        memory = self.memory
        return Reading(memory.state, memory.state.last_time, memory.last_heard.heard_at)

    def follow(self) -> None:
        """Fold, and gather what changed."""
        alone_s = with_view_s = 0.0
        ticks_s: list[float] = []
        sizes: list[int] = []
        per_tick = max(1, int(self.options.rate * TICK_S))
        for start in range(0, len(self.messages), per_tick):
            part = self.messages[start : start + per_tick]
            for at in range(0, len(part), CHUNK):
                chunk = part[at : at + CHUNK]
                begin = time.process_time()
                self.plain.fold(chunk)
                middle = time.process_time()
                self.memory.fold(chunk, taken=self._observe)
                alone_s += middle - begin
                with_view_s += time.process_time() - middle
            begin = time.process_time()
            change = self.view.tick(self._reading())
            ticks_s.append(time.process_time() - begin)
            sizes.append(len(json.dumps(change)))
        count = len(self.messages)
        print(f"fold alone          {alone_s / count * 1e6:6.1f} µs an event")
        print(f"fold with the view  {with_view_s / count * 1e6:6.1f} µs an event")
        middle_ms, most_ms = statistics.median(ticks_s) * 1e3, max(ticks_s) * 1e3
        size = statistics.median(sizes) / 1024
        print(f"tick                {middle_ms:6.2f} ms, {most_ms:.2f} ms at most; {size:.0f} KiB of JSON")
        share = (with_view_s + sum(ticks_s)) / self.options.seconds
        print(f"of a core           {100 * share:6.1f} % at {self.options.rate} events/s")

    def look(self) -> None:
        """Make whole documents, and pages of tasks."""
        begin = time.process_time()
        document = self.view.document(self._reading())
        took_s = time.process_time() - begin
        print(f"whole document      {took_s * 1e3:6.1f} ms, {len(json.dumps(document)) / 1024:.0f} KiB")
        state = self.memory.state
        for name, wanted in (
            ("all by id", TaskFilter(status="live")),
            ("a word, by silence", TaskFilter(status="live", q="wait 1", sort="heard_at")),
        ):
            begin = time.process_time()
            chosen = chosen_tasks(state, wanted)
            rows = [task_row(task, state, state.last_time) for task in chosen[:100]]
            took_s = time.process_time() - begin
            print(f"tasks, {name:<18} {took_s * 1e3:6.1f} ms for {len(rows)} of {len(chosen):,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=positive, default=500)
    parser.add_argument("--tasks", type=positive, default=20_000)
    parser.add_argument("--rate", type=positive, default=500, help="events a second")
    parser.add_argument("--history", type=natural, default=50_000, help="events before")
    parser.add_argument("--seconds", type=positive, default=60)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    watching = Watching(options)
    watching.follow()
    watching.look()


if __name__ == "__main__":
    main()
