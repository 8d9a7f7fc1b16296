"""How durations are distributed: counts in bins that grow by 2 %, so a quantile is off by 1 % at most."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_GROWTH = math.log(1.02)
SHORTEST_S = 0.01
"""Shorter durations count as this long."""
LONGEST_S = 1e9


class Distribution:
    """Durations in seconds. Takes a few bins, however many durations are added."""

    __slots__ = ("_bins", "count")

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self.count = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Distribution) and self._bins == other._bins

    __hash__ = None  # type: ignore[assignment]

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one, from a clock that was set, counts as the shortest."""
        self._bins[round(math.log(min(max(seconds, SHORTEST_S), LONGEST_S)) / _GROWTH)] += 1
        self.count += 1

    def merge(self, other: Distribution) -> None:
        """Count what another one holds."""
        self._bins.update(other._bins)
        self.count += other.count

    def quantile(self, share: float) -> float | None:
        """Return the duration that this share of them does not exceed; None if there is none."""
        wanted, seen = max(1, math.ceil(share * self.count)), 0
        for each in sorted(self._bins):
            seen += self._bins[each]
            if seen >= wanted:
                return float(f"{math.exp(each * _GROWTH):.3g}")
        return None

    @classmethod
    def of_all(cls, distributions: Iterable[Distribution]) -> Distribution:
        """Return the distribution of what all of these hold."""
        merged = cls()
        for each in distributions:
            merged.merge(each)
        return merged
