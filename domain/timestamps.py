"""Points in time on the wire: RFC 3339 in UTC with exactly six decimals and `Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
TICK = timedelta(microseconds=1)
"""The resolution of times in the log; a strict bound is exceeded one tick after it."""
_BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def timestamp_text(at: datetime) -> str:
    """Return an aware datetime in the wire's format, such as `2026-11-21T08:00:00.123456Z`."""
    since = at - EPOCH
    return "%s.%06dZ" % (_second(since.days, since.seconds), since.microseconds)  # noqa: UP031 - half the time


@lru_cache(maxsize=4096)
def _second(days: int, seconds: int) -> str:
    """Return the text of a second. Cached: many events fall into one second, and `isoformat` with an offset is slow."""
    return (_NAIVE_EPOCH + timedelta(days, seconds)).isoformat()


format_timestamp = lru_cache(maxsize=4096)(timestamp_text)
"""As `timestamp_text`, cached: for moments that are written more than once."""


def parse_timestamp(text: str) -> datetime:
    """Return the aware UTC datetime of an RFC 3339 text; raises ValueError if it is none or has no offset."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        msg = f"{text!r} has no offset from UTC"
        raise ValueError(msg)
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def seconds_between(earlier: datetime, later: datetime) -> float:
    """Return `later - earlier` in seconds, negative when they are the other way round."""
    return (later - earlier).total_seconds()


def after(at: datetime, seconds: float) -> datetime:
    """Return the moment `seconds` after `at`, rounded to a microsecond, clamped to the range of datetimes.

    A log may hold any moment and any number, and reading it must not stop a pool.
    """
    try:
        return at + _duration(seconds)
    except OverflowError:
        return _END_OF_TIME if seconds > 0 else _BEGINNING_OF_TIME


@lru_cache(maxsize=1024)
def _duration(seconds: float) -> timedelta:
    """Return the duration. Cached: terms, graces and thresholds are few, and making one costs four times a look-up."""
    return timedelta(seconds=seconds)


def just_after(at: datetime) -> datetime:
    """Return the first moment after `at`, or `at` itself if it is the last datetime."""
    return at + TICK if at < _END_OF_TIME else at


Timestamp = Annotated[AwareDatetime, PlainSerializer(format_timestamp, return_type=str, when_used="json")]
"""An aware datetime that is written with six decimals and `Z`."""
