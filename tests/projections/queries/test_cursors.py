"""A cursor leads back to its place; what a caller makes up is refused, quickly, and with one line."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import RefusalCode
from domain.events import Entity
from domain.refusal import Refused
from projections.queries.cursors import backlog_cursor, ended_before, ended_cursor, named_row, place_in_backlog

NUMBERS = st.one_of(
    st.integers(-10, 2**62),
    st.floats(min_value=0, max_value=253_402_300_799).map(lambda seconds: round(seconds, 6)).filter(lambda s: s > 1),
)


@pytest.mark.parametrize(
    ("view", "cursor", "entity"),
    [
        ("tasks", "owner/repo#12", Entity.TASK),
        ("leases", "a.b", Entity.TASK),
        ("agents", "a", Entity.AGENT),
        ("agents", "a.b", None),
        ("workloads", "owner/repo#12", None),
        ("steals", "s-1", Entity.STEAL),
        ("steals", "s.1", None),
        ("tasks", "ended: 7", None),
        ("backlog", "T", None),
        ("statistics", "T", None),
    ],
)
def test_a_cursor_is_the_id_of_a_row_where_the_views_rows_have_such_ids(
    view: str, cursor: str, entity: Entity | None
) -> None:
    assert named_row(view, cursor) == (None if entity is None else (entity, cursor))


@given(st.lists(NUMBERS, min_size=3, max_size=4).map(tuple))
def test_a_place_in_the_backlog_comes_back_as_it_was(place: tuple[float, ...]) -> None:
    assert place_in_backlog(backlog_cursor(place), lambda _: None) == tuple(map(float, place))


@given(st.integers(0, 10**18 - 1))
def test_a_place_among_the_ended_comes_back_as_it_was(before: int) -> None:
    assert ended_before(ended_cursor(before)) == before


def test_the_name_of_a_queued_task_is_its_place_whatever_it_is_called() -> None:
    assert place_in_backlog("T", {"T": (0, -1, 5)}.get) == (0, -1, 5)


@pytest.mark.parametrize(
    "cursor",
    [
        "", "after", "after: ", "after: ,", "after: 1,", "after: ,1", "after: 1,,2", "after: -", "after: --1",
        "after: +1",
        "after: 1.", "after: .5", "after: 1..2", "after: 1.2.3", "after: 1e5", "after: 0x1", "after: 1_0", "after: nan",
        "after: inf", "after: -inf", "after:  1", "after:1", "after: 1 ", "after: 1\n", "\nafter:1",
        "after: 1;2", "after: \u0661",
        "after: \uff11", "after: \u00b2", "after: 1\x00", "After:1", "afterafter: 1", "after: after:1", "ended: 1",
        "never-submitted",
    ],
)  # fmt: skip
def test_what_is_no_place_in_the_backlog_is_refused(cursor: str) -> None:
    with pytest.raises(Refused) as refused:
        place_in_backlog(cursor, {"T": (0, -1, 5)}.get)
    assert refused.value.refusal.code is RefusalCode.INVALID_COMMAND
    assert [each["field"] for each in refused.value.refusal.details["fields"]] == ["after"]


@pytest.mark.parametrize("cursor", [None, "", "T1", "after: 0,1,2", "ende", "Ended:1"])
def test_other_cursors_are_no_place_among_the_ended(cursor: str | None) -> None:
    assert ended_before(cursor) is None


def test_the_longest_cursors_cost_nothing() -> None:
    """128 characters are allowed; none of them makes the expression try one way after the other, or overflow."""
    began = time.thread_time()
    for middle in ("1", "1,", "1.1,", "-1,", "1.", "11.11", ",", "-", "9"):
        for last in ("", "x", ".", "\n"):
            cursor = ("after: " + middle * 128)[:127] + last
            try:
                place = place_in_backlog(cursor, lambda _: None)
            except Refused:
                continue
            assert all(abs(each) < float("inf") for each in place)
    assert time.thread_time() - began < 1
