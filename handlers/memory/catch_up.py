"""Bringing a memory up to the log's end, or to a position before it."""

from __future__ import annotations

import gc
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import ReadableLog
    from projections.state.pool_state import PoolState

AGED_FROM_EVENTS = 10_000
"""So many events take over 100 ms to fold; the objects of fewer are left to the collector."""


async def catch_up(
    memory: Memory,
    log: ReadableLog,
    *,
    until: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    seen: Callable[[Recorded], None] | None = None,
    indexed: bool = False,
) -> int:
    """Fold what the log holds beyond the memory's position; return the position reached.

    `until`: stop there instead of at the log's end. `progress` is called with the position reached and the goal, `seen`
    with each event that was applied. `indexed`: the state's indexes are read meanwhile, so they are kept at every
    event. Raises LogUnavailableError.
    """
    state = memory.state
    goal = await log.last_position() if until is None else until
    if goal > state.position:
        with _folding(state, goal - state.position, indexed=indexed):
            async for chunk in log.read(after=memory.state.position, until=goal):
                memory.fold(chunk, seen)
                if progress is not None:
                    progress(memory.state.position, goal)
    return memory.state.position


def _folding(state: PoolState, events: int, *, indexed: bool) -> AbstractContextManager[None]:
    """Return the context for folding so many events."""
    if indexed:
        return without_gc()
    # Making the indexes anew costs what is alive; keeping them costs what happens.
    rebuilds = events > len(state.tasks) + len(state.agents)
    return rebuilding(state, ages=events >= AGED_FROM_EVENTS) if rebuilds else nullcontext()


@contextmanager
def rebuilding(state: PoolState, *, ages: bool = True) -> Iterator[None]:
    """Fold a long stretch of a log meanwhile: the indexes are made at the end.

    `ages`: what was made is moved to gc's oldest generation.
    """
    state.begin_rebuild()
    try:
        with without_gc():
            try:
                yield
            finally:
                if ages:
                    age_objects()
    finally:
        state.end_rebuild()


def age_objects() -> None:
    """Move everything to gc's oldest generation, so that it does not traverse what the fold has made.

    That traversal is a twentieth of a rebuild and finds nothing: records hold no cycles.
    """
    # It counts one by one: 9 ms where a million objects are frozen.
    frozen = gc.get_freeze_count() > 0
    gc.freeze()
    if not frozen:
        # Unfreezing puts the objects into the oldest generation; what was frozen for good must stay frozen.
        gc.unfreeze()


@contextmanager
def without_gc() -> Iterator[None]:
    """Disable gc meanwhile: a third of the time. What a fold makes is kept, or freed by reference counting."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
