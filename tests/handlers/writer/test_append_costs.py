"""Which way a group of events goes follows what both ways cost on this broker."""

from __future__ import annotations

import pytest

from handlers.writer.append_costs import MAX_CHAIN, PROBE_EVERY, AppendCosts

MS = 0.001
LEARNED = 60
"""Measurements after which the averages are those of the broker."""


def measured(costs: AppendCosts, *, first_ms: float, each_ms: float, batch_ms: float) -> None:
    """Have both ways measured often enough, on a broker where they cost so much."""
    for events in [2, 8, 16] * (LEARNED // 3):
        costs.chain_stored(events, first_ms * MS, (first_ms + each_ms * (events - 1)) * MS)
        costs.batch_stored(events, (batch_ms + 0.03 * events) * MS)


def test_where_there_are_no_chains_none_is_preferred() -> None:
    costs = AppendCosts(takes_chains=False)
    measured(costs, first_ms=0.1, each_ms=0.01, batch_ms=50)

    assert costs.chain_limit == 0
    assert not any(costs.prefers_chain(events) for events in range(1, 600))


def test_a_start_expects_a_disk_that_syncs_every_write() -> None:
    costs = AppendCosts(takes_chains=True)

    assert [costs.prefers_chain(events) for events in (1, 2, 12, 20, 256)] == [True, True, True, False, False]


@pytest.mark.parametrize("stalled_ms", [34, 1_000])
def test_a_disk_that_stalls_once_changes_nothing(stalled_ms: float) -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=0.9, each_ms=0.12, batch_ms=5.6)
    before = costs.chain_limit

    costs.chain_stored(1, stalled_ms * MS, stalled_ms * MS)

    assert costs.chain_limit > before / 2


def test_a_disk_that_becomes_slower_for_good_is_noticed() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=0.6, each_ms=0.04, batch_ms=6)

    measured(costs, first_ms=12, each_ms=8, batch_ms=60)

    assert costs.chain_limit < 12


@pytest.mark.parametrize(
    ("first_ms", "each_ms", "batch_ms", "lowest", "highest"),
    [
        (1.2, 0.4, 6.0, 11, 16),
        (0.6, 0.4, 4.0, 8, 12),
        (0.6, 0.04, 6.0, 200, MAX_CHAIN),
        (0.3, 0.01, 3.0, 200, MAX_CHAIN),
        (1.2, 0.4, 1.5, 1, 2),
        (1.2, 0.4, 0.5, 1, 1),
    ],
    ids=[
        "synced, a slow disk",
        "synced",
        "not synced",
        "a further event costs nothing",
        "staging in memory",
        "a batch costs less than one write",
    ],
)
def test_the_limit_is_where_both_ways_cost_the_same(
    first_ms: float, each_ms: float, batch_ms: float, lowest: int, highest: int
) -> None:
    costs = AppendCosts(takes_chains=True)

    measured(costs, first_ms=first_ms, each_ms=each_ms, batch_ms=batch_ms)

    assert lowest <= costs.chain_limit <= highest


def test_a_broker_that_changes_is_followed() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=0.6, each_ms=0.03, batch_ms=6)
    measured(costs, first_ms=1.2, each_ms=0.4, batch_ms=6)
    assert costs.chain_limit < 20
    measured(costs, first_ms=0.6, each_ms=0.03, batch_ms=6)
    assert costs.chain_limit > 200


def test_small_differences_leave_the_limit_where_it_is() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=1.0, each_ms=0.4, batch_ms=6.0)
    limit = costs.chain_limit

    limits = set[int]()
    for _ in range(5):
        measured(costs, first_ms=1.1, each_ms=0.42, batch_ms=6.3)
        limits.add(costs.chain_limit)
        measured(costs, first_ms=0.9, each_ms=0.38, batch_ms=5.7)
        limits.add(costs.chain_limit)

    assert limits == {limit}


@pytest.mark.parametrize("events", [5, 30], ids=["below the limit", "above it"])
def test_now_and_then_a_group_near_the_limit_goes_the_other_way(events: int) -> None:
    costs = AppendCosts(takes_chains=True)
    usual = costs.prefers_chain(events)

    others = [number for number in range(2, 3 * PROBE_EVERY + 1) if costs.prefers_chain(events) is not usual]

    assert others == [PROBE_EVERY, 2 * PROBE_EVERY, 3 * PROBE_EVERY]


@pytest.mark.parametrize("events", [1, 2, 200], ids=["one event", "far below", "far above"])
def test_where_the_other_way_would_cost_much_more_it_is_not_tried(events: int) -> None:
    costs = AppendCosts(takes_chains=True)
    usual = costs.prefers_chain(events)

    assert all(costs.prefers_chain(events) is usual for _ in range(3 * PROBE_EVERY))


def test_a_clock_that_stands_still_teaches_nothing() -> None:
    costs = AppendCosts(takes_chains=True)
    limit = costs.chain_limit
    for _ in range(LEARNED):
        costs.chain_stored(8, 0.0, 0.0)
        costs.batch_stored(8, 0.0)

    assert costs.chain_limit == limit
