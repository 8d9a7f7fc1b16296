"""Moments and lengths of time, as people write them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from infra.cli.framework.written_times import parse_duration, parse_moment

NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
"""04:00 in Berlin."""


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("10m ago", "2026-11-29 02:50"),
        ("10 minutes ago", "2026-11-29 02:50"),
        ("1h30m ago", "2026-11-29 01:30"),
        ("-1h", "2026-11-29 02:00"),
        ("-1.5h", "2026-11-29 01:30"),
        ("in 2h", "2026-11-29 05:00"),
        ("+1d", "2026-11-30 03:00"),
        ("now", "2026-11-29 03:00"),
        ("02:30", "2026-11-29 01:30"),
        ("2:30", "2026-11-29 01:30"),
        ("10:00", "2026-11-28 09:00"),
        ("10:00Z", "2026-11-28 10:00"),
        ("10:00:30+01:00", "2026-11-28 09:00:30"),
        ("2026-11-28 21:23", "2026-11-28 20:23"),
        ("2026-07-01 12:00", "2026-07-01 10:00"),
        ("2026-11-28T21:23:05.5", "2026-11-28 20:23:05.500000"),
        ("2026-11-28 21:23 UTC", "2026-11-28 21:23"),
        ("2026-11-28 21:23:00Z", "2026-11-28 21:23"),
        ("2026-11-28", "2026-11-27 23:00"),
        ("yesterday", "2026-11-27 23:00"),
        ("yesterday 10:00", "2026-11-28 09:00"),
        ("2026-11-21T08:00:00Z", "2026-11-21 08:00"),
        ("2026-11-21t08:00:00.123456z", "2026-11-21 08:00:00.123456"),
        ("2026-11-21T08:00:00+01:00", "2026-11-21 07:00"),
    ],
)
def test_a_moment_in_the_past(text: str, utc: str) -> None:
    assert parse_moment(text, NOW) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "utc"),
    [("10:00", "2026-11-29 09:00"), ("02:30", "2026-11-30 01:30"), ("tomorrow 10:00", "2026-11-30 09:00")],
)
def test_a_time_of_day_ahead_is_the_next_one(text: str, utc: str) -> None:
    assert parse_moment(text, NOW, ahead=True) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_the_end_of_a_date_is_its_last_moment() -> None:
    assert parse_moment("2026-11-28", NOW, day_ends=True) == datetime(2026, 11, 28, 22, 59, 59, 999999, tzinfo=UTC)
    assert parse_moment("2026-11-28 21:23", NOW, day_ends=True) == datetime(2026, 11, 28, 20, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "x", "25:00", "10m", "5", "-5", "--1h", "ago", "in -1h", "-10m ago", "1e5", "2026-13-01", "2026-11-28x",
     "99999999999999999w ago", "10:00:00:00", "T10:00", "today today", "٣m ago"],
)  # fmt: skip
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time, such as 10:00, .*'10m ago'"):
        parse_moment(text, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1h 30m", 5400), ("500ms", 0.5),
     ("1.5h", 5400), ("2 days", 172_800), ("1w", 604_800), ("0", 0), ("-5", -5), ("-10m", -600), ("1e3", 1000)],
)  # fmt: skip
def test_a_length(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "10x", "m", "1h-5m", "1h30", "--5m", "nan", "inf", "1_000", "٣"])
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(ValueError, match="is no length of time, such as 90"):
        parse_duration(text)


def test_a_bare_number_counts_in_the_unit() -> None:
    assert parse_duration("2", unit_s=3600) == parse_duration("2h", unit_s=3600) == 7200
