"""Events a second that a what-if replays, by the number of policies: python -m tests.benchmarks.bench_whatif.

The log is in memory; what decoding and folding it costs is shown beside.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

from domain.policies.lease import LeaseMode
from domain.recorded import Recorded
from domain.rules import Rules
from infra.codec import CloudEventsCodec
from projections.state.pool_state import PoolState
from projections.whatif.comparison import Comparison
from projections.whatif.comparison_result import ComparisonResult
from projections.whatif.policy import Policy
from tests.benchmarks.arguments import positive
from tests.benchmarks.busy_pool import POOL, BusyPool
from tests.support.memory_log import MemoryEventLog

CODEC = CloudEventsCodec(POOL)


def policies(count: int) -> list[Policy]:
    """Return policies of terms from a minute on."""
    return [
        Policy(f"{term_s}", Rules(), {"mode": LeaseMode.FIXED, "lease_s": float(term_s), "grace_s": 10.0})
        for term_s in range(60, 60 + 30 * count, 30)
    ]


def folded(records: list[Recorded]) -> None:
    """Fold, and nothing more."""
    state = PoolState(POOL, Rules())
    for recorded in records:
        state.fold(recorded)


def compared(records: list[Recorded], count: int) -> ComparisonResult:
    """Replay under the recorded settings and so many others."""
    comparison = Comparison(POOL, Rules(), policies(count))
    for recorded in records:
        comparison.take(recorded)
    return comparison.finish()


def timed(what: str, events: int, replays: int, work: Callable[[], object]) -> None:
    """Run a piece of work three times and print the best rate, by the processor's time."""
    best_s = min(_seconds(work) for _ in range(3))
    rate = f"{events / best_s:>9,.0f} events/s, {1e6 * best_s / events:6.1f} µs each"
    print(f"{what:<34} {rate}{f', {1e6 * best_s / events / replays:5.1f} µs a replay' if replays else ''}")


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description="Events a second in a what-if.")
    parser.add_argument("--events", type=positive, default=50_000)
    options = parser.parse_args()
    pool = BusyPool(agents=100, tasks=2_000)
    stored = MemoryEventLog(POOL, list(pool.messages(options.events))).messages
    records = [CODEC.decode(message) for message in stored]
    events = len(records)
    print(f"{events:,} events: " + ", ".join(f"{count:,} {name}" for name, count in pool.events.most_common(5)))
    timed("decode", events, 0, lambda: [CODEC.decode(message) for message in stored])
    timed("fold", events, 0, lambda: folded(records))
    for count in (0, 1, 4, 16):
        timed(f"recorded settings and {count} others", events, count + 1, partial(compared, records, count))
    for part in (events // 4, events):
        gc.collect()
        tracemalloc.start()
        compared(records[:part], 4)
        print(f"peak of a comparison of 5 over {part:,} events: {tracemalloc.get_traced_memory()[1] / 2**20:.1f} MiB")
        tracemalloc.stop()


if __name__ == "__main__":
    main()
