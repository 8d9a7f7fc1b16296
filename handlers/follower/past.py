"""The past of a followed pool: its memory as it was at a position, and the events of a stretch of its log."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from handlers.memory.catch_up import catch_up
from handlers.memory.memory import Memory
from handlers.memory.positions import position_at
from handlers.memory.snapshots import restore_nearest
from handlers.ports import UnreadableEventError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import datetime

    from domain.recorded import Recorded
    from handlers.follower.follower import Follower
    from handlers.ports import Codec
    from handlers.projector.read_model import FollowableLog

SLICE = 250
"""Messages decoded in one turn of the event loop."""


async def memory_at(follower: Follower, position: int) -> Memory:
    """Return a memory of everything up to a position, from the nearest snapshot. Takes as long as the fold from there.

    Raises LogUnavailableError, LogTruncatedError (the log ends before the position).
    """
    memory = Memory(follower.pool_id, follower.rules, follower.codec, outcomes=0)
    snapshots = follower.snapshots
    if snapshots is not None:
        await restore_nearest(memory, snapshots.store, follower.log, build=snapshots.build, until=position)
    await catch_up(memory, follower.log, until=position)
    return memory


async def position_of(follower: Follower, at: datetime) -> int:
    """Return the position of the last event at or before a time; 0 or the one before the log if there is none.

    Raises LogUnavailableError.
    """
    first, last = await follower.log.first_position(), await follower.log.last_position()
    return await position_at(follower.log, follower.codec, at, first=first, last=last)


async def records_between(
    log: FollowableLog, codec: Codec, *, after: int, until: int
) -> AsyncGenerator[list[Recorded], None]:
    """Yield the readable events with `after` < position <= `until`, in order, a slice in each turn of the event loop.

    Raises LogUnavailableError, LogTruncatedError.
    """
    async with aclosing(log.read(after=after, until=until)) as chunks:
        async for chunk in chunks:
            for start in range(0, len(chunk), SLICE):
                records = []
                for message in chunk[start : start + SLICE]:
                    try:
                        records.append(codec.decode(message))
                    except UnreadableEventError:
                        continue
                yield records
                await asyncio.sleep(0)
