"""Bringing a memory up to the log's end, or to a position before it.

What else the process does goes on meanwhile: a slice of the log is folded in a turn of the event loop, and the indexes
of a large pool are made in a thread.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from domain.recorded import Recorded
    from handlers.memory.memory import Memory
    from handlers.ports import ReadableLog
    from projections.state.pool_state import PoolState

SLICE = 250
"""Messages that are folded in a turn of the event loop: a few milliseconds."""
LARGE_POOL = 5_000
"""Live tasks beyond which a thread is worth its cost."""
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
    events = goal - state.position
    if events <= 0:
        return state.position

    async def fold() -> None:
        async for chunk in log.read(after=memory.state.position, until=goal):
            for start in range(0, len(chunk), SLICE):
                memory.fold(chunk[start : start + SLICE], seen)
                await asyncio.sleep(0)
            if progress is not None:
                progress(memory.state.position, goal)

    if indexed:
        with without_gc():
            await fold()
    elif events <= len(state.tasks) + len(state.agents):
        await fold()
    else:
        # Making the indexes anew costs what is alive; keeping them costs what happens.
        await _rebuilt(state, fold, ages=events >= AGED_FROM_EVENTS)
    return memory.state.position


async def _rebuilt(state: PoolState, fold: Callable[[], Awaitable[None]], *, ages: bool) -> None:
    """Fold, and make the indexes at the end."""
    state.begin_rebuild()
    try:
        with without_gc():
            try:
                await fold()
            finally:
                if ages:
                    age_objects()
        if len(state.tasks) > LARGE_POOL:
            await asyncio.to_thread(state.end_rebuild)
    finally:
        if not state.is_indexed:
            state.end_rebuild()


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
