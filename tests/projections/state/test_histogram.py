"""A histogram counts each value once, at the first bound that it does not exceed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.state.histogram import Histogram

BOUNDS = (1.0, 2.0, 5.0)


@pytest.mark.parametrize(
    ("value", "cumulative"),
    [
        pytest.param(0.0, [1, 1, 1, 1], id="the least"),
        pytest.param(1.0, [1, 1, 1, 1], id="a bound belongs to what is below it"),
        pytest.param(1.5, [0, 1, 1, 1], id="between two"),
        pytest.param(9.0, [0, 0, 0, 1], id="beyond all"),
        pytest.param(-3.0, [1, 1, 1, 1], id="negative: as 0"),
        pytest.param(math.nan, [0, 0, 0, 0], id="no number: not at all"),
        pytest.param(math.inf, [0, 0, 0, 0], id="infinite: not at all"),
    ],
)
def test_a_value_is_counted_at_the_first_bound_that_it_does_not_exceed(value: float, cumulative: list[int]) -> None:
    histogram = Histogram(BOUNDS)
    histogram.add(value)
    assert [count for _, count in histogram.cumulative()] == cumulative
    assert histogram.total == (max(value, 0.0) if cumulative[-1] else 0.0)


@given(st.lists(st.floats()))
def test_whatever_is_added_it_can_be_dumped_and_loaded(values: list[float]) -> None:
    histogram, again = Histogram(BOUNDS), Histogram(BOUNDS)
    for value in values:
        histogram.add(min(value, 1e300) if value > 0 else value)
    again.load(histogram.dump())
    assert (again.cumulative(), again.total) == (histogram.cumulative(), histogram.total)
    assert histogram.cumulative()[-1] == (math.inf, histogram.count)


def test_what_has_other_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="3 counts for 3 bounds"):
        Histogram(BOUNDS).load([[1, 2, 3], 4.0])
