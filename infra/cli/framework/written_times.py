"""Moments and lengths of time as people write them on a command line.

A moment: RFC 3339 (`2026-11-28T21:23:00Z`); a date, a time of day or both (`2026-11-28 21:23`, `10:00`, `yesterday
10:00`), local unless an offset or `Z` follows; or relative to now (`10m ago`, `-1h`, `in 2h`, `now`). A length: a
number of seconds, or numbers with units (`90`, `90s`, `10m`, `1h30m`).
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo

MOMENTS = "10:00, '2026-11-28 21:23' (local, or with Z or an offset), '10m ago', -1h"
MOMENTS_AHEAD = "10:00, '2026-11-28 21:23' (local, or with Z or an offset), 'tomorrow 9:00', 'in 2h'"
LENGTHS = "90, 90s, 10m or 1h30m"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_UNITS = {
    **_SECONDS,
    **dict.fromkeys(("sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("day", "days"), 86_400.0),
    **dict.fromkeys(("week", "weeks"), 604_800.0),
}
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_PART = re.compile(rf"({_NUMBER})\s*([a-z]+)\s*", re.ASCII)
_PLAIN = re.compile(rf"[+-]?(?:{_NUMBER})(?:e[+-]?\d+)?", re.ASCII)
_DAYS_FROM_TODAY = {"today": 0, "yesterday": -1, "tomorrow": 1}
_CALENDAR = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d|today|yesterday|tomorrow)?"
    r"(?:(?(date)(?:\s+|t)|)(?P<clock>\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?))?"
    r"\s*(?P<offset>z|utc|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_ONE_DAY = timedelta(days=1)


def parse_duration(text: str, unit_s: float = 1.0) -> float:
    """Return a length of time in seconds; a bare number counts in `unit_s`. Raises ValueError."""
    wanted = text.strip().lower()
    if _PLAIN.fullmatch(wanted):
        return float(wanted) * unit_s
    total, end = 0.0, 0
    sign = -1.0 if wanted.startswith("-") else 1.0
    wanted = wanted[1:] if wanted[:1] in {"+", "-"} else wanted
    for part in _PART.finditer(wanted):
        if part.start() != end or part[2] not in _UNITS:
            break
        total, end = total + float(part[1]) * _UNITS[part[2]], part.end()
    if not wanted or end != len(wanted) or not math.isfinite(total):
        msg = f"{text!r} is no length of time, such as {LENGTHS}"
        raise ValueError(msg)
    return sign * total


def parse_relative(text: str) -> float | None:
    """Return the seconds from now that a text such as `10m ago`, `-1h`, `in 2h` or `now` means, None if it is none."""
    wanted = text.strip().lower()
    if wanted == "now":
        return 0.0
    try:
        if wanted.endswith(" ago"):
            return -parse_duration(wanted.removesuffix(" ago")) if wanted[0] not in "+-" else None
        if wanted.startswith("in "):
            return parse_duration(wanted.removeprefix("in ")) if wanted[3] not in "+-" else None
        return parse_duration(wanted) if wanted[:1] in {"+", "-"} and not _PLAIN.fullmatch(wanted) else None
    except ValueError:
        return None


def parse_moment(text: str, now: datetime, *, ahead: bool = False, day_ends: bool = False) -> datetime:
    """Return the moment that a text means, in UTC.

    A time of day alone is the last such moment until `now`, with `ahead` the next one from `now` on. A date alone is
    its first moment, with `day_ends` its last.

    Raises:
        ValueError: the text is none.
    """
    relative_s = parse_relative(text)
    try:
        if relative_s is not None:
            return now + timedelta(seconds=relative_s)
        return _calendar(text.strip().lower(), now.astimezone(), ahead=ahead, day_ends=day_ends).astimezone(UTC)
    except (OverflowError, OSError, ValueError):
        msg = f"{text!r} is no time, such as {MOMENTS_AHEAD if ahead else MOMENTS}"
        raise ValueError(msg) from None


def _calendar(text: str, now: datetime, *, ahead: bool, day_ends: bool) -> datetime:
    match = _CALENDAR.fullmatch(text)
    if match is None or (match["date"] is None and match["clock"] is None):
        return datetime.fromisoformat(_with_offset(text))
    offset = _with_offset(f"2000-01-01T00:00{match['offset']}") if match["offset"] else None
    zone = None if offset is None else datetime.fromisoformat(offset).tzinfo
    today = now.astimezone(zone).replace(tzinfo=None)
    if match["date"] is None or match["date"] in _DAYS_FROM_TODAY:
        day = today + timedelta(days=_DAYS_FROM_TODAY.get(match["date"] or "today", 0))
    else:
        day = datetime.fromisoformat(match["date"])
    clock = match["clock"]
    at = datetime.fromisoformat(f"{day.date().isoformat()}T{_two_digits(clock or '00:00')}")
    found = _in_zone(at, zone)
    if clock is None:
        return _in_zone(at + _ONE_DAY, zone) - timedelta(microseconds=1) if day_ends else found
    if match["date"] is None:
        if ahead and found < now:
            return _in_zone(at + _ONE_DAY, zone)
        if not ahead and found > now:
            return _in_zone(at - _ONE_DAY, zone)
    return found


def _two_digits(clock: str) -> str:
    """Return a time of day with an hour of two digits."""
    return f"0{clock}" if clock[1] == ":" else clock


def _in_zone(at: datetime, zone: tzinfo | None) -> datetime:
    return at.astimezone() if zone is None else at.replace(tzinfo=zone)


def _with_offset(text: str) -> str:
    return f"{text.removesuffix('utc').rstrip()}+00:00" if text.endswith("utc") else text.upper()
