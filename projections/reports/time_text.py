"""Lengths of time and points in time, as a person reads them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from domain.timestamps import timestamp_text

if TYPE_CHECKING:
    from datetime import datetime

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


@lru_cache(maxsize=4096)
def duration(seconds: float) -> str:
    """Return a length of time in words, such as `4m 30s`; the two largest units, tenths below ten seconds."""
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    if rest == math.inf:
        return f"{sign}for ever"
    if rest < 10:  # noqa: PLR2004 - one digit before the point
        return f"{sign}{rest:.1f}".removesuffix(".0") + "s"
    whole = round(rest)
    if whole < _MINUTE_S:
        return f"{sign}{whole}s"
    for unit_s, unit, lesser_s, lesser in (
        (_DAY_S, "d", _HOUR_S, "h"),
        (_HOUR_S, "h", _MINUTE_S, "m"),
        (_MINUTE_S, "m", 1, "s"),
    ):
        if whole >= unit_s:
            more = whole % unit_s // lesser_s
            return f"{sign}{whole // unit_s}{unit}" + (f" {more}{lesser}" if more else "")
    return f"{sign}{whole}s"


def moment(at: datetime) -> str:
    """Return a point in time to the second, such as `2026-11-21 08:00:00Z`."""
    text = timestamp_text(at)
    return f"{text[:10]} {text[11:19]}Z"


def clock(at: datetime) -> str:
    """Return a point in time as the clock showed it, to a tenth of a second, such as `08:00:00.1`."""
    return f"{at:%H:%M:%S}.{at.microsecond // 100_000}"
