"""Whether an agent that let its lease run out is merely between two reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policies.cadence import MAX_REPORT_TIMES, median_interval_s, should_recover, tolerated_silence_s

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
        pytest.param(30.0, 150.001, True, id="past it: recover"),
        pytest.param(0.0, 0.0, False, id="no interval, no silence: wait"),
        pytest.param(0.0, 0.001, True, id="no interval, any silence: recover"),
    ],
)
def test_recovery(median_s: float | None, silence_s: float, *, expect: bool) -> None:
    assert should_recover(median_s=median_s, silence_s=silence_s, silence_multiplier=5.0) is expect


@given(times_s=TIMES, offset_s=st.integers(-(10**6), 10**6))
def test_only_intervals_matter_not_the_axis(times_s: list[float], offset_s: int) -> None:
    assert median_interval_s([time_s + offset_s for time_s in times_s]) == median_interval_s(times_s)


@given(times_s=TIMES)
def test_the_median_lies_between_nothing_and_the_whole_span(times_s: list[float]) -> None:
    median_s = median_interval_s(times_s)
    assert (median_s is None) == (len(times_s) < 2)
    assert median_s is None or 0 <= median_s <= max(times_s) - min(times_s)


@given(median_s=st.none() | st.floats(0, 86_400), silence_s=st.floats(0, 86_400), multiplier=st.floats(1, 1000))
def test_a_known_rhythm_waits_exactly_as_long_as_it_tolerates(
    median_s: float | None, silence_s: float, multiplier: float
) -> None:
    tolerated_s = tolerated_silence_s(median_s, multiplier)
    assert median_s is not None or tolerated_s == 0.0
    waits = not should_recover(median_s=median_s, silence_s=silence_s, silence_multiplier=multiplier)
    assert waits == (median_s is not None and silence_s <= tolerated_s)
