"""What becomes of a message after an attempt."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.notifier.retry_rules import (
    LONGEST_PAUSE_S,
    LONGEST_RETRY_AFTER_S,
    Verdict,
    endpoint_pause_s,
    message_pause_s,
    verdict_of,
)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (301, Verdict.FAILED),
        (307, Verdict.FAILED),
        (400, Verdict.REFUSED),
        (401, Verdict.FAILED),
        (403, Verdict.FAILED),
        (404, Verdict.FAILED),
        (408, Verdict.FAILED),
        (410, Verdict.GONE),
        (413, Verdict.REFUSED),
        (422, Verdict.REFUSED),
        (429, Verdict.FAILED),
        (500, Verdict.FAILED),
        (503, Verdict.FAILED),
    ],
)
def test_what_a_status_says(status: int, verdict: Verdict) -> None:
    assert verdict_of(status) is verdict


@given(st.integers(1, 10_000), st.integers(), st.none() | st.floats(-1e9, 1e9))
def test_pauses_are_bounded_and_no_shorter_than_asked_for(count: int, seed: int, asked_s: float | None) -> None:
    asked = min(asked_s or 0.0, LONGEST_RETRY_AFTER_S)
    for pause in (endpoint_pause_s, message_pause_s):
        pause_s = pause(count, Random(seed), asked_s)
        assert max(asked, 0.5) <= pause_s <= max(asked, LONGEST_PAUSE_S)


@given(st.integers(1, 8), st.integers())
def test_pauses_double(count: int, seed: int) -> None:
    assert endpoint_pause_s(count + 1, Random(seed), None) == 2 * endpoint_pause_s(count, Random(seed), None)
