"""Cadence: how much silence the intervals between a holder's reports excuse. Source: the adaptive assignment leases.

An agent that reports every 10 minutes is not lost after 5. The median interval between its reports on this lease says
how much silence is ordinary.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Final

from domain.timestamps import after, just_after

MAX_REPORT_TIMES: Final = 32
"""How many report times a lease keeps, the latest ones: it bounds memory, and an old cadence is forgotten."""


def median_interval_s(report_times_s: Sequence[float]) -> float | None:
    """Return the median interval between neighbouring reports in seconds, or None for fewer than two reports.

    The times are in seconds on any common axis.
    """
    intervals_s = [later - earlier for earlier, later in pairwise(sorted(report_times_s))]
    return float(median(intervals_s)) if intervals_s else None


def tolerated_silence_s(median_s: float | None, silence_multiplier: float) -> float:
    """Return how many seconds of silence the cadence excuses; 0.0 if none is known."""
    return 0.0 if median_s is None else median_s * silence_multiplier


def excused_until(
    last_beat_at: datetime | None, *, median_s: float | None, silence_multiplier: float
) -> datetime | None:
    """Return the last moment at which the cadence excuses the silence; None if none is known.

    `last_beat_at` is the last report or recorded renewal. The tolerated silence is excused to its very end.
    """
    if last_beat_at is None or median_s is None:
        return None
    return after(last_beat_at, tolerated_silence_s(median_s, silence_multiplier))


def recovery_at(lease_due_at: datetime, excused_until: datetime | None) -> datetime:
    """Return the first moment at which a silent lease is recovered.

    `lease_due_at` is when it is past its expiry and grace; `excused_until` is None where nothing excuses the silence.
    """
    return lease_due_at if excused_until is None else max(lease_due_at, just_after(excused_until))
