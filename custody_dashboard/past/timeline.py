"""How busy the pool was when, over its whole log: for the slider that leads into the past.

Positions are evenly spread samples of the log, each with its time. Between two of them events are taken to be evenly
spread in time, so the cost is a few hundred reads however long the log is.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.timestamps import after, format_timestamp, seconds_between
from handlers.memory.positions import time_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from handlers.ports import Codec, ReadableLog

SAMPLES = 200
MAX_SAMPLES = 2 * SAMPLES
BUCKETS = 120
_AT_ONCE = 16


class Sample(NamedTuple):
    """A position of the log, and its time."""

    position: int
    at: datetime


class Timeline:
    """Samples of one log; each is read once."""

    def __init__(self, log: ReadableLog, codec: Codec) -> None:
        self._log = log
        self._codec = codec
        self._times: dict[int, datetime | None] = {}
        self._reading = asyncio.Lock()

    async def samples(self, first: int, last: int) -> list[Sample]:
        """Return samples from the first to the last position. Raises LogUnavailableError."""
        if last < first:
            return []
        step = max(1, -(-(last - first) // SAMPLES))
        # Multiples of a power of two: a log that grows goes on with the samples it has.
        step = 1 << (step - 1).bit_length()
        wanted = sorted({first, last, *range(-(-first // step) * step, last, step)})
        async with self._reading:
            missing = [each for each in wanted if each not in self._times]
            for start in range(0, len(missing), _AT_ONCE):
                some = missing[start : start + _AT_ONCE]
                found = await asyncio.gather(*(self._time(each, first) for each in some))
                self._times.update(zip(some, found, strict=True))
            if len(self._times) > MAX_SAMPLES:
                self._times = {each: self._times[each] for each in wanted}
            times = [(each, self._times[each]) for each in wanted]
        return [Sample(position, at) for position, at in times if at is not None]

    async def _time(self, position: int, first: int) -> datetime | None:
        return await time_at(self._log, self._codec, position, above=max(first - 1, position - _AT_ONCE))


def timeline_document(samples: Sequence[Sample], buckets: int = BUCKETS) -> dict[str, Any]:
    """Return the samples, and how many events each of some equal stretches of time has."""
    if not samples:
        return {"first_position": 0, "last_position": 0, "first_at": None, "last_at": None, "points": [], "buckets": []}
    first, last = samples[0], samples[-1]
    span_s = seconds_between(first.at, last.at)
    edges = [after(first.at, span_s * each / buckets) for each in range(buckets + 1)] if span_s > 0 else []
    positions = [_position_at(samples, each) for each in edges]
    return {
        "first_position": first.position,
        "last_position": last.position,
        "first_at": format_timestamp(first.at),
        "last_at": format_timestamp(last.at),
        "points": [[each.position, format_timestamp(each.at)] for each in samples],
        "buckets": [
            # Rounded before they are subtracted, so that none is counted twice or not at all.
            {"at": format_timestamp(at), "events": round(until) - round(since)}
            for at, since, until in zip(edges, positions, positions[1:], strict=False)
        ],
    }


def _position_at(samples: Sequence[Sample], at: datetime) -> float:
    """Return about which position the log had come to at a time."""
    index = bisect_right(samples, at, key=lambda sample: sample.at)
    if index == 0:
        return samples[0].position - 1
    before = samples[index - 1]
    if index == len(samples):
        return before.position
    following = samples[index]
    share = seconds_between(before.at, at) / seconds_between(before.at, following.at)
    return before.position + share * (following.position - before.position)
