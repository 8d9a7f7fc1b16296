"""What a sweep and a decision cost on small and large pools, without the broker.

python -m tests.benchmarks.bench_sweep [--live 1000,100000] [--due 100]
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from datetime import timedelta

from domain.commands.service_commands import Judge
from domain.decisions.dispatch import decide
from domain.request import Request
from tests.benchmarks.arguments import positive, positives
from tests.benchmarks.busy_pool import BusyPool

ROUNDS = 15
REPEATS = 300
MOST_DUE = 400
"""The most leases of a sweep."""
SHORT_S, LONG_S = 60.0, 86_400.0


def pool_with(live: int) -> BusyPool:
    """Return a pool with so many tasks, held on leases that outlast the measurement."""
    pool = BusyPool(agents=max(1, live // 50), tasks=live, lease={"mode": "fixed", "lease_s": LONG_S})
    pool.take()
    return pool


def median_us(work: Callable[[], object], rounds: int) -> float:
    """Return the median of the microseconds that a call takes."""
    took_s = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        took_s.append(time.perf_counter() - start)
    return statistics.median(took_s) * 1e6


def measure_sweep(live: int, due: int) -> None:
    """Print the cost of a sweep that finds `due` tasks due (find, judge, apply, commit), and of one that finds none."""
    pool = pool_with(live - due)
    state = pool.state
    gc.collect()
    gc.freeze()
    took_s = []
    for number in range(ROUNDS):
        pool.hold(f"lost-{number}", due, {"mode": "fixed", "lease_s": SHORT_S, "grace_s": 0})
        pool.now += timedelta(seconds=2 * SHORT_S)
        start = time.perf_counter()
        task_ids = tuple(state.due(pool.now, MOST_DUE))
        state.apply(decide(state, Request(Judge(task_ids), "sweeper", "s", verb="judge"), pool.now, pool.rules))
        state.commit()
        took_s.append(time.perf_counter() - start)
        assert len(task_ids) == due, len(task_ids)
    idle_us = median_us(lambda: state.due(pool.now, MOST_DUE), REPEATS)
    print(
        f"{live:>7,} live: a sweep over {due} due leases takes {statistics.median(took_s) * 1e3:6.2f} ms"
        f" ({min(took_s) * 1e3:.2f} to {max(took_s) * 1e3:.2f}); one that finds none {idle_us:.1f} µs"
    )


def measure_decisions(live: int) -> None:
    """Print the cost of one decision of each kind, applied and committed; the agent that reports holds 50 tasks."""
    pool = pool_with(live)
    state, rules = pool.state, pool.rules
    gc.collect()
    gc.freeze()

    def once(who: str, verb: str, body: dict[str, object]) -> None:
        pool.now += timedelta(milliseconds=1)
        decision = decide(state, pool.request(who, verb, body), pool.now, rules)
        assert decision.refusal is None
        state.apply(decision)
        state.commit()

    agent_id, task_id, token = pool.held[len(pool.held) // 2]
    costs = {
        "progress": median_us(
            lambda: once(agent_id, "progress", {"task_id": task_id, "token": token, "percent": 40}), REPEATS
        ),
        "heartbeat": median_us(lambda: once(agent_id, "heartbeat", {"load": {"cpu": 40.0, "memory": 30.0}}), REPEATS),
    }
    numbers = iter(range(REPEATS))
    costs["submit"] = median_us(lambda: once("ops", "submit", {"task_id": f"S{next(numbers)}"}), REPEATS)
    for number in range(REPEATS):
        pool.ask(f"worker-{number}", "register", {"capabilities": ["code"]})
    workers = iter(range(REPEATS))
    costs["claim"] = median_us(lambda: once(f"worker-{next(workers)}", "claim", {}), REPEATS)
    print(f"{live:>7,} live: " + ", ".join(f"{verb} {cost:5.1f} µs" for verb, cost in costs.items()))


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description="What a sweep and a decision cost.")
    parser.add_argument("--live", type=positives, default=[1_000, 100_000])
    parser.add_argument("--due", type=positive, default=100)
    options = parser.parse_args()
    if options.due > (most := min(MOST_DUE, min(options.live) - 1)):
        parser.error(f"argument --due: {options.due} are too many: of so many live leases a sweep takes {most} at most")
    for live in options.live:
        measure_sweep(live, options.due)
    for live in options.live:
        measure_decisions(live)


if __name__ == "__main__":
    main()
