"""Moments, each counted as often as it was added, and the first of them."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


class Moments:
    """A multiset of moments. What one append queued has one moment, so there are fewer of these than tasks."""

    __slots__ = ("_counts", "_heap")

    def __init__(self, moments: Iterable[datetime] = ()) -> None:
        self._counts: Counter[datetime] = Counter(moments)
        self._heap: list[datetime] = sorted(self._counts)
        """Every moment that is counted, once; and others, until they come to the front."""

    def add(self, at: datetime) -> None:
        """Count a moment once more."""
        self._counts[at] += 1
        if self._counts[at] == 1:
            heapq.heappush(self._heap, at)

    def remove(self, at: datetime) -> None:
        """Count a moment that is counted once less."""
        if self._counts[at] > 1:
            self._counts[at] -= 1
            return
        del self._counts[at]
        if len(self._heap) > 2 * len(self._counts) + 64:
            self._heap = sorted(self._counts)

    def first(self) -> datetime | None:
        """Return the earliest moment, or None if none is counted."""
        while self._heap and self._heap[0] not in self._counts:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None
