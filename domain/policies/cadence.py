"""Whether an agent that let its lease run out is merely between two reports. Source: the adaptive assignment leases.

An agent that reports every 10 minutes is not lost after 5. Its own rhythm, the median interval between its
reports on this lease, says how much silence is ordinary.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

MAX_REPORT_TIMES: Final = 32
"""How many report times a lease remembers, the latest: a bound on memory, and old rhythms fade."""


def median_interval_s(report_times_s: Sequence[float]) -> float | None:
    """Return the median interval between neighbouring reports in seconds, or None for fewer than two reports.

    The times are in seconds on any common axis.
    """
    intervals_s = [later - earlier for earlier, later in pairwise(sorted(report_times_s))]
    return float(median(intervals_s)) if intervals_s else None


def tolerated_silence_s(median_s: float | None, silence_multiplier: float) -> float:
    """Return how many seconds of silence the rhythm excuses; 0.0 if no rhythm is known."""
    return 0.0 if median_s is None else median_s * silence_multiplier


def should_recover(*, median_s: float | None, silence_s: float, silence_multiplier: float) -> bool:
    """Tell whether a lease past its expiry and grace is to be recovered now.

    `silence_s` is the time since the last report or recorded renewal. Without a known rhythm nothing excuses
    the silence; with one, silence up to and including the tolerated length does.
    """
    if median_s is None:
        return True
    return silence_s > tolerated_silence_s(median_s, silence_multiplier)
