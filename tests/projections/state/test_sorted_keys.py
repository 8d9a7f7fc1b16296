"""Keys in blocks, and counted moments, against a list that is sorted when it is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.state import sorted_keys
from projections.state.moments import Moments
from projections.state.sorted_keys import SortedKeys

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
keys = st.tuples(st.integers(-3, 3), st.integers(0, 12), st.just("id"))


def place(key: tuple[int, int, str]) -> tuple[int, int]:
    return key[:2]


@settings(deadline=None)
@given(
    changes=st.lists(keys, max_size=120),
    after=st.one_of(st.just(()), st.tuples(st.integers(-4, 4)), st.tuples(st.integers(-4, 4), st.integers(-1, 13))),
    block=st.integers(1, 4),
)
def test_keys_stay_in_order_whatever_comes_and_goes(
    changes: list[tuple[int, int, str]], after: tuple[int, ...], block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_keys, "BLOCK", block)
        here: SortedKeys[tuple[int, int, str]] = SortedKeys()
        model: set[tuple[int, int, str]] = set()
        for key in changes:
            if key in model:
                here.remove(key)
                model.remove(key)
            else:
                here.add(key)
                model.add(key)
            assert len(here) == len(model)
            assert here.first() == min(model, default=None)
            assert list(here) == sorted(model)
            assert list(here.following(after, place)) == [each for each in sorted(model) if place(each) > after]


def test_a_key_that_is_not_here_cannot_be_removed() -> None:
    here: SortedKeys[tuple[int]] = SortedKeys()
    with pytest.raises(KeyError):
        here.remove((1,))
    for number in range(0, 10_000, 2):
        here.add((number,))
    for number in (-1, 1, 5_001, 10_001):
        with pytest.raises(KeyError):
            here.remove((number,))
    assert len(here) == 5_000
    assert list(islice(here.following((4_000,), lambda key: key), 2)) == [(4_002,), (4_004,)]


@settings(deadline=None)
@given(changes=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=300))
def test_the_first_moment_is_the_earliest_that_is_counted(changes: list[tuple[bool, int]]) -> None:
    moments, model = Moments(), list[int]()
    for comes, second in changes:
        if comes:
            moments.add(START + timedelta(seconds=second))
            model.append(second)
        elif second in model:
            moments.remove(START + timedelta(seconds=second))
            model.remove(second)
        assert moments.first() == (START + timedelta(seconds=min(model)) if model else None)
