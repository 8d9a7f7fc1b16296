"""The same loads on Dask's work stealing; runs in an environment of its own that has `distributed`.

Reads a JSON document from its input: agents, given_to, scale, before and tasks as pairs of a key's prefix, by which
Dask knows durations, and the true seconds. Prints the makespan in unscaled seconds, and how many tasks were done
elsewhere. A worker is a thread here and a task a sleep, so that many fit on a small machine.
"""

# ruff: noqa: T201 # prints what it measured
# mypy: ignore-errors
# The package is no dependency of this project.

from __future__ import annotations

import json
import logging
import sys
import time

import dask
from distributed import Client, LocalCluster


def _nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def main() -> None:
    """Run one load."""
    asked = json.load(sys.stdin)
    scale, names = asked["scale"], [f"w{number}" for number in range(asked["agents"])]
    dask.config.set({"distributed.worker.daemon": False, "distributed.admin.tick.limit": "60s"})
    logging.disable(logging.WARNING)
    options = {
        "n_workers": len(names), "threads_per_worker": 1, "processes": False, "dashboard_address": None,
        "memory_limit": 0,
    }  # fmt: skip
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        client.wait_for_workers(len(names))
        workers = list(client.scheduler_info(n_workers=-1)["workers"])
        before = [
            client.submit(_nap, seconds * scale, key=f"{kind}-b{number}", workers=[workers[number % len(workers)]])
            for number, (kind, seconds) in enumerate(asked["before"])
        ]
        client.gather(before)
        begin = time.perf_counter()
        tasks = [
            client.submit(
                _nap,
                seconds * scale,
                key=f"{kind}-t{number}",
                workers=[workers[number % asked["given_to"]]],
                allow_other_workers=True,
            )
            for number, (kind, seconds) in enumerate(asked["tasks"])
        ]
        client.gather(tasks)
        makespan_s = (time.perf_counter() - begin) / scale
        where = client.who_has(tasks)
        homes = (workers[number % asked["given_to"]] for number in range(len(tasks)))
        elsewhere = sum(home not in where[task.key] for home, task in zip(homes, tasks, strict=True))
    print(json.dumps({"makespan_s": makespan_s, "elsewhere": elsewhere}))


if __name__ == "__main__":
    main()
