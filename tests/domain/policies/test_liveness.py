"""Which agents may be given work that they did not ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.policies.lease import LeaseMode, LeasePolicy
from domain.policies.liveness import first_term_s, was_heard_lately

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FIXED = LeasePolicy(mode=LeaseMode.FIXED, lease_s=50.0)


@pytest.mark.parametrize(
    ("policy", "term_s"),
    [
        (LeasePolicy(), 180.0),
        (FIXED, 50.0),
        (LeasePolicy(mode=LeaseMode.ESTIMATED, default_hours=2.0, min_hours=1.0), 7200.0),
    ],
    ids=["adaptive", "fixed", "estimated"],
)
def test_the_first_term_is_the_pools_own(policy: LeasePolicy, term_s: float) -> None:
    assert first_term_s(policy) == term_s


@pytest.mark.parametrize(
    ("silence_s", "recorded_s", "heard"),
    [
        (0.0, None, True),
        (50.0, 0.0, True),
        (50.1, 0.0, False),
        (None, 50.0, True),
        (None, 50.1, False),
        (None, None, False),
    ],
    ids=[
        "just heard",
        "a term ago, to the moment",
        "longer ago, though its record is new",
        "not heard since the start, and recorded a term ago",
        "not heard since the start, and recorded longer ago",
        "never heard",
    ],
)
def test_it_was_heard_within_a_first_term(silence_s: float | None, recorded_s: float | None, *, heard: bool) -> None:
    recorded = None if recorded_s is None else NOW - timedelta(seconds=recorded_s)
    assert was_heard_lately(FIXED, silence_s=silence_s, last_recorded_at=recorded, now=NOW) is heard
