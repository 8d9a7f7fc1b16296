"""The position of a moment in the log, by binary search: times in a log never go backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.ports import UnreadableEventError

if TYPE_CHECKING:
    from datetime import datetime

    from handlers.ports import Codec, ReadableLog


async def position_at(log: ReadableLog, codec: Codec, at: datetime, *, first: int, last: int) -> int:
    """Return the position of the last event at or before a time, `first` - 1 if there is none.

    `first` and `last` are the log's. Looks at about as many messages as the log's length has binary digits. Raises
    LogUnavailableError.
    """
    low, high = first - 1, last
    while low < high:
        middle = (low + high + 1) // 2
        time = await time_at(log, codec, middle, above=low)
        if time is None or time <= at:
            low = middle
        else:
            high = middle - 1
    return low


async def time_at(log: ReadableLog, codec: Codec, position: int, *, above: int = 0) -> datetime | None:
    """Return the time of the nearest readable event from `position` down, beyond `above`; None if there is none."""
    for each in range(position, above, -1):
        message = await log.get(each)
        if message is not None:
            try:
                return codec.decode(message).time
            except UnreadableEventError:
                continue
    return None
