"""The `eventsourcing` library: saves of two events, replay of an aggregate, and its notification log."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from eventsourcing.domain import Aggregate

from tests.benchmarks.peers.contenders.library_store import LibraryStore

AGGREGATE_EVENTS = 1_000
LOG_EVENTS = 20_000
SECTION = 1_000


class Job:
    """One of the three, for some seconds."""

    def __init__(self, contender: LibraryStore) -> None:
        self._application = contender.application
        self._long: Aggregate | None = None

    async def measure(self, *, step: str, threads: int, seconds: float) -> dict[str, float]:
        """Return saves a second (`step` is `save`) or events a second (`replay`, `read`)."""
        return {"per_s": getattr(self, f"_{step}")(threads, seconds)}

    def _save(self, threads: int, seconds: float) -> float:
        def save() -> int:
            self._application.save(_aggregate(2))
            return 1

        return _rate(threads, seconds, save)

    def _replay(self, threads: int, seconds: float) -> float:
        if self._long is None:
            self._long = _aggregate(AGGREGATE_EVENTS)
            self._application.save(self._long)
        long = self._long

        def replay() -> int:
            self._application.repository.get(long.id)
            return AGGREGATE_EVENTS

        return _rate(threads, seconds, replay)

    def _read(self, threads: int, seconds: float) -> float:
        recorder = self._application.recorder
        while (recorder.max_notification_id() or 0) < LOG_EVENTS:
            self._application.save(_aggregate(AGGREGATE_EVENTS))
        starts = itertools.cycle(range(1, LOG_EVENTS - SECTION + 2, SECTION))
        return _rate(threads, seconds, lambda: len(recorder.select_notifications(next(starts), SECTION)))


def _aggregate(events: int) -> Aggregate:
    """An aggregate with so many events that are not stored yet."""
    made = Aggregate()
    for _ in range(events - 1):
        made.trigger_event(Aggregate.Event)
    return made


def _rate(threads: int, seconds: float, work: Callable[[], int]) -> float:
    """Return what the work, done by so many threads, comes to in a second."""
    began = time.perf_counter()

    def repeat(_: int) -> int:
        done = work()
        while time.perf_counter() < began + seconds:
            done += work()
        return done

    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(repeat, range(threads)))
    return done / (time.perf_counter() - began)
