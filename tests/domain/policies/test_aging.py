"""When a waiting task counts as more urgent than it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.policies.aging import aged_rank, next_aging_at
from domain.timestamps import TICK, after
from domain.values import Priority

SINCE = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("priority", "waited_s", "aging_s", "rank", "next_s"),
    [
        pytest.param(Priority.LOW, 1e6, 0.0, 0, None, id="off: never"),
        pytest.param(Priority.LOW, 0, 60, 0, 60, id="not at first"),
        pytest.param(Priority.LOW, 60, 60, 1, 120, id="one priority at the very moment"),
        pytest.param(Priority.MEDIUM, 119.9, 60, 2, 120, id="from its own priority"),
        pytest.param(Priority.LOW, 180, 60, 3, None, id="up to the highest"),
        pytest.param(Priority.LOW, 1e9, 60, 3, None, id="and not beyond"),
        pytest.param(Priority.CRITICAL, 1e9, 60, 3, None, id="what is critical stays so"),
        pytest.param(Priority.LOW, -5, 60, 0, 60, id="a clock that was set back"),
    ],
)
def test_aging(priority: Priority, waited_s: float, aging_s: float, rank: int, next_s: float | None) -> None:
    now = after(SINCE, waited_s)
    assert aged_rank(priority, SINCE, now, aging_s) == rank
    assert next_aging_at(priority, SINCE, now, aging_s) == (None if next_s is None else after(SINCE, next_s))


def test_it_ages_at_the_moment_that_was_announced() -> None:
    for aging_s in (0.1, 0.3, 1 / 3, 7.7, 1e-6, 1e-9, 86_400.1):
        now, ranks = SINCE, [0]
        while (at := next_aging_at(Priority.LOW, SINCE, now, aging_s)) is not None:
            assert at > now
            assert aged_rank(Priority.LOW, SINCE, at - TICK, aging_s) < aged_rank(Priority.LOW, SINCE, at, aging_s)
            ranks.append(aged_rank(Priority.LOW, SINCE, now := at, aging_s))
        assert aged_rank(Priority.LOW, SINCE, now, aging_s) == 3
        assert ranks == sorted(set(ranks))
