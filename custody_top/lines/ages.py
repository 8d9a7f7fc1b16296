"""Lengths of time in a few cells, such as `4m`, and times of documents as such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.timestamps import parse_timestamp, seconds_between
from projections.reports.time_text import duration

if TYPE_CHECKING:
    from datetime import datetime


def short(seconds: float) -> str:
    """Return a length of time in its largest unit; a negative one is none."""
    return duration(float(max(int(seconds), 0))).partition(" ")[0]


def since(text: str | None, now: datetime) -> str:
    """Return how long ago a document's time is; nothing if there is none."""
    return "" if text is None else short(seconds_between(parse_timestamp(text), now))


def until(text: str | None, now: datetime) -> str:
    """Return how far ahead a document's time is; `over` if it is past, nothing if there is none."""
    if text is None:
        return ""
    left_s = seconds_between(now, parse_timestamp(text))
    return short(left_s) if left_s > 0 else "over"
