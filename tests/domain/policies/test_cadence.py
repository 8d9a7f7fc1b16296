"""Whether an agent that let its lease run out is merely between two reports."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policies.cadence import (
    MAX_REPORT_TIMES,
    excused_until,
    median_interval_s,
    recovery_at,
    tolerated_silence_s,
)

BEAT = datetime(2026, 11, 21, 8, tzinfo=UTC)
TIMES = st.lists(st.integers(0, 10**6).map(float), max_size=MAX_REPORT_TIMES)


@pytest.mark.parametrize(
    ("times_s", "expect"),
    [
        pytest.param([], None, id="no report: unknown"),
        pytest.param([84.0], None, id="one report: unknown, the grant does not count"),
        pytest.param([10.0, 19.0], 9.0, id="two reports: their interval"),
        pytest.param([0.0, 10.0, 110.0], 55.0, id="an even number of intervals: the mean of the middle two"),
        pytest.param([0.0, 10.0, 110.0, 140.0], 30.0, id="an odd number of intervals: the middle one"),
        pytest.param([5.0, 5.0], 0.0, id="two reports at one instant: 0"),
        pytest.param([19.0, 10.0], 9.0, id="the order does not matter"),
    ],
)
def test_median_interval(times_s: list[float], expect: float | None) -> None:
    assert median_interval_s(times_s) == expect


@pytest.mark.parametrize(
    ("median_s", "silence_s", "expect"),
    [
        pytest.param(None, 0.0, True, id="no rhythm: nothing excuses the silence"),
        pytest.param(30.0, 149.9, False, id="within the tolerated silence: wait"),
        pytest.param(30.0, 150.0, False, id="exactly the tolerated silence: wait"),
        pytest.param(30.0, 150.000001, True, id="a microsecond past it: recover"),
        pytest.param(0.0, 0.0, False, id="no interval, no silence: wait"),
        pytest.param(0.0, 0.000001, True, id="no interval, any silence: recover"),
    ],
)
def test_recovery(median_s: float | None, silence_s: float, *, expect: bool) -> None:
    excused = excused_until(BEAT, median_s=median_s, silence_multiplier=5.0)
    assert (recovery_at(BEAT, excused) <= BEAT + timedelta(seconds=silence_s)) is expect


def test_without_a_beat_nothing_excuses_the_silence() -> None:
    assert excused_until(None, median_s=30.0, silence_multiplier=5.0) is None


def test_an_excuse_that_ends_before_the_lease_is_due_moves_nothing() -> None:
    due_at = BEAT + timedelta(seconds=200)
    assert recovery_at(due_at, excused_until(BEAT, median_s=30.0, silence_multiplier=5.0)) == due_at


@given(times_s=TIMES, offset_s=st.integers(-(10**6), 10**6))
def test_only_intervals_matter_not_the_axis(times_s: list[float], offset_s: int) -> None:
    assert median_interval_s([time_s + offset_s for time_s in times_s]) == median_interval_s(times_s)


@given(times_s=TIMES)
def test_the_median_lies_between_nothing_and_the_whole_span(times_s: list[float]) -> None:
    median_s = median_interval_s(times_s)
    assert (median_s is None) == (len(times_s) < 2)
    assert median_s is None or 0 <= median_s <= max(times_s) - min(times_s)


@given(
    median_s=st.none() | st.floats(0, 86_400),
    multiplier=st.floats(1, 1000),
    due_s=st.floats(0, 86_400),
    silence_s=st.floats(0, 10**8),
)
def test_a_known_rhythm_waits_exactly_as_long_as_it_tolerates(
    median_s: float | None, multiplier: float, due_s: float, silence_s: float
) -> None:
    tolerated = timedelta(seconds=tolerated_silence_s(median_s, multiplier))
    assert median_s is not None or not tolerated
    due_at, now = BEAT + timedelta(seconds=due_s), BEAT + timedelta(seconds=silence_s)
    recovered = recovery_at(due_at, excused_until(BEAT, median_s=median_s, silence_multiplier=multiplier)) <= now
    assert recovered == (now >= due_at and (median_s is None or now - BEAT > tolerated))
