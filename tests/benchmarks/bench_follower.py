"""What watching a pool costs: python -m tests.benchmarks.bench_follower [--agents 500] [--tasks 20000] [--seconds 60].

Events of a pool at work are folded as a follower folds them, with the live view of a dashboard; at every 250 ms of the
log's time a tick gathers what has changed. Prints the time of each part, and its share of a core at so many events a
second. Alternates with a fold that has no view, in one run.
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

from domain.recorded import Recorded
from domain.rules import Rules
from handlers.memory.catch_up import age_objects
from handlers.memory.memory import Memory
from handlers.ports import NewMessage, StoredMessage
from projections.live.history import History
from projections.live.live_view import Reading
from projections.live.task_rows import TaskFilter, chosen_tasks, task_row
from tests.benchmarks import busy_pool
from tests.benchmarks.busy_pool import POOL, BusyPool

TICK_S = 0.25
CHUNK = 25
"""Messages that come together."""
ROUNDS = 3


def numbered(messages: Iterable[NewMessage], after: int) -> list[StoredMessage]:
    return [
        StoredMessage(number, message.subject, message.body, dict(message.headers))
        for number, message in enumerate(messages, start=after + 1)
    ]


def folded(pool: BusyPool, messages: list[StoredMessage]) -> tuple[Memory, list[Recorded]]:
    memory, records = Memory(POOL, Rules(), pool.codec, outcomes=0), list[Recorded]()
    memory.fold(messages, records.append)
    return memory, records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=500, help="events a second")
    parser.add_argument("--history", type=int, default=50_000, help="events before")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    busy_pool.EVENT_S = 1 / options.rate
    pool = BusyPool(agents=options.agents, tasks=2 * options.agents)
    for number in range(options.tasks - 2 * options.agents):
        pool.ask(
            "ops", "submit", {"task_id": f"Q{number}", "title": f"Wait {number}", "required_capabilities": ["code"]}
        )
    prepared = pool.take()
    before = numbered([*prepared, *pool.messages(options.history)], 0)
    messages = numbered(pool.messages(options.rate * options.seconds), len(before))
    memory, past = folded(pool, before)
    plain, _ = folded(pool, before)
    begin = time.perf_counter()
    history = History()
    history.observe(past)
    took_s = time.perf_counter() - begin
    begin = time.perf_counter()
    view = LiveView()
    view.reset(memory.state, history)
    reset_s = time.perf_counter() - begin
    del past
    age_objects()
    gc.collect()
    counts = memory.state.counts
    print(f"{len(memory.state.tasks):,} live tasks, {counts.held:,} held, {len(memory.state.agents)} agents")
    print(f"history             {took_s / len(before) * 1e6:6.1f} µs an event, of {len(before):,}")
    print(f"reset               {reset_s * 1e3:6.1f} ms")
    alone_s = with_view_s = 0.0
    ticks_s: list[float] = []
    encoded: list[int] = []
    per_tick = int(options.rate * TICK_S)
    for start in range(0, len(messages), per_tick):
        part = messages[start : start + per_tick]
        for at in range(0, len(part), CHUNK):
            chunk = part[at : at + CHUNK]
            begin = time.perf_counter()
            plain.fold(chunk)
            middle = time.perf_counter()
            records: list[Recorded] = []
            memory.fold(chunk, records.append)
            view.observe(records, memory.state)
            alone_s += middle - begin
            with_view_s += time.perf_counter() - middle
        begin = time.perf_counter()
        change = view.tick(Reading(memory.state, memory.state.last_time, memory.last_heard.heard_at))
        ticks_s.append(time.perf_counter() - begin)
        encoded.append(len(json.dumps(change)))
    count = len(messages)
    print(f"fold alone          {alone_s / count * 1e6:6.1f} µs an event")
    print(f"fold with the view  {with_view_s / count * 1e6:6.1f} µs an event")
    print(
        f"tick                {statistics.median(ticks_s) * 1e3:6.2f} ms by the median, "
        f"{max(ticks_s) * 1e3:.2f} ms at most; {statistics.median(encoded) / 1024:.0f} KiB of JSON"
    )
    share = (with_view_s + sum(ticks_s)) / options.seconds
    print(f"share of a core at {options.rate} events/s: {100 * share:.1f} %")
    begin = time.perf_counter()
    document = view.document(Reading(memory.state, memory.state.last_time, memory.last_heard.heard_at))
    print(
        f"whole document      {(time.perf_counter() - begin) * 1e3:6.1f} ms, {len(json.dumps(document)) / 1024:.0f} KiB"
    )
    for name, wanted in (
        ("all by id", TaskFilter(status="live")),
        ("a word, by silence", TaskFilter(status="live", q="task 1", sort="heard_at")),
    ):
        begin = time.perf_counter()
        chosen = chosen_tasks(memory.state, wanted)
        rows = [task_row(task, memory.state, memory.state.last_time) for task in chosen[:100]]
        print(f"tasks, {name:<19} {(time.perf_counter() - begin) * 1e3:6.1f} ms for {len(rows)} of {len(chosen):,}")


if __name__ == "__main__":
    main()
