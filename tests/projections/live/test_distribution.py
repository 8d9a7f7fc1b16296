"""Durations in bins: a quantile is within 1 % of what a sorted list would say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.live.distribution import LONGEST_S, SHORTEST_S, Distribution

durations = st.lists(st.floats(SHORTEST_S, LONGEST_S), min_size=1, max_size=200)


def of(seconds: list[float]) -> Distribution:
    found = Distribution()
    for each in seconds:
        found.add(each)
    return found


@given(durations, st.sampled_from([0.01, 0.5, 0.95, 1.0]))
def test_a_quantile_is_nearly_that_of_the_list(seconds: list[float], share: float) -> None:
    exact = sorted(seconds)[max(1, math.ceil(share * len(seconds))) - 1]
    # Three digits are shown of it.
    assert of(seconds).quantile(share) == pytest.approx(exact, rel=0.017)


@given(durations, durations)
def test_merged_is_as_counted_together(some: list[float], others: list[float]) -> None:
    assert Distribution.of_all([of(some), of(others)]) == of([*some, *others])


def test_nothing_has_no_quantile() -> None:
    assert Distribution().quantile(0.5) is None


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 1e300, math.inf])
def test_any_number_is_counted(seconds: float) -> None:
    quantile = of([seconds]).quantile(0.5)
    assert quantile == pytest.approx(min(max(seconds, SHORTEST_S), LONGEST_S), rel=0.017)
