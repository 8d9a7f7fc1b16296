"""Which way a group of events goes follows what both ways cost on this broker."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from handlers.ports import Steady, steadily_after
from handlers.writer.append_costs import FAR_PROBES_EVERY, FIRST_PROBES_EVERY, MAX_CHAIN, PROBE_EVERY, AppendCosts

MS = 0.001
LEARNED = 60
"""Measurements after which the medians are those of the broker."""
START = Steady(datetime(2026, 11, 29, tzinfo=UTC))


def measured(costs: AppendCosts, *, first_ms: float, each_ms: float, batch_ms: float) -> None:
    """Have both ways measured often enough, on a broker where they cost so much."""
    singles_and_batches(costs, first_ms=first_ms, batch_ms=batch_ms)
    for events in [2, 8, 16] * (LEARNED // 3):
        costs.chain_stored(events, (first_ms + each_ms * (events - 1)) * MS)


def singles_and_batches(costs: AppendCosts, *, first_ms: float, batch_ms: float) -> None:
    """Have single events and batches measured often enough, and no longer chains."""
    for events in [2, 8, 16] * (LEARNED // 3):
        costs.chain_stored(1, first_ms * MS)
        costs.batch_stored(events, (batch_ms + 0.03 * events) * MS)


def chains_behind_each_other(costs: AppendCosts, *, each_ms: float, together: int = 1, queued: int = 20) -> None:
    """Have chains of one event stored behind each other, so many acknowledgements of them read at once."""
    for number in range(300):
        costs.chain_ended(1, steadily_after(START, number // together * together * each_ms * MS), queued=queued)


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

    costs.chain_stored(1, stalled_ms * MS)

    assert costs.chain_limit == before


def test_a_machine_that_is_busy_now_and_then_changes_nothing() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=0.9, each_ms=0.4, batch_ms=5)
    before = costs.chain_limit

    for number in range(LEARNED):
        slower = 20 if number % 3 == 0 else 1
        costs.chain_stored(1, 0.9 * MS * slower)
        costs.chain_stored(10, 4.5 * MS * slower)
        assert costs.chain_limit == before


def test_a_spell_in_which_chains_cost_too_much_is_got_over_without_any() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=6, each_ms=5, batch_ms=5)
    assert costs.chain_limit == 1

    singles_and_batches(costs, first_ms=0.9, batch_ms=4)

    assert costs.chain_limit >= 4


def test_after_such_a_spell_the_first_chains_do_not_bring_it_back() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=6, each_ms=5, batch_ms=5)
    singles_and_batches(costs, first_ms=0.9, batch_ms=4)

    for _ in range(10):
        costs.chain_stored(2, 1.3 * MS)
        assert costs.chain_limit > 1


def test_acknowledgements_that_come_together_do_not_make_a_chain_seem_free() -> None:
    costs = AppendCosts(takes_chains=True)
    singles_and_batches(costs, first_ms=0.9, batch_ms=5)
    for _ in range(LEARNED):
        costs.chain_stored(8, 3.7 * MS)

    assert 8 <= costs.chain_limit <= 14


def test_a_few_events_say_only_what_one_costs_at_most() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=0.3, each_ms=0.3, batch_ms=5)
    before = costs.chain_limit

    for _ in range(LEARNED):
        costs.chain_stored(3, 6 * MS)
    assert costs.chain_limit == before, "the process was busy meanwhile"

    for _ in range(LEARNED):
        costs.chain_stored(3, 0.3 * MS)
    assert costs.chain_limit > before


@pytest.mark.parametrize("together", [1, 4])
def test_where_chains_are_always_in_flight_their_pace_says_what_an_event_costs(together: int) -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=1.2, each_ms=0.03, batch_ms=6)
    assert costs.chain_limit > 200

    chains_behind_each_other(costs, each_ms=0.8, together=together)

    assert costs.chain_limit < 10


@pytest.mark.parametrize("queued", [0, 1, 3])
def test_a_pace_that_callers_set_says_nothing_of_the_broker(queued: int) -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=0.9, each_ms=0.03, batch_ms=5)
    before = costs.chain_limit

    chains_behind_each_other(costs, each_ms=30, queued=queued)

    assert costs.chain_limit == before


def test_a_disk_that_becomes_slow_while_many_call_is_noticed_without_a_single_event() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=0.9, each_ms=0.4, batch_ms=5)

    chains_behind_each_other(costs, each_ms=10)
    for _ in range(LEARNED):
        costs.batch_stored(40, 60 * MS)

    assert costs.chain_limit <= 7


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
@pytest.mark.parametrize(
    ("known", "every"), [(False, FIRST_PROBES_EVERY), (True, PROBE_EVERY)], ids=["not measured yet", "known"]
)
def test_now_and_then_a_group_near_the_limit_goes_the_other_way(events: int, *, known: bool, every: int) -> None:
    costs = AppendCosts(takes_chains=True)
    if known:
        measured(costs, first_ms=1, each_ms=0.4, batch_ms=5.5)
    usual = costs.prefers_chain(events)

    others = [number for number in range(2, 3 * every + 1) if costs.prefers_chain(events) is not usual]

    assert others == [every, 2 * every, 3 * every]


def test_many_callers_of_a_broker_that_does_not_sync_soon_go_as_chains() -> None:
    costs = AppendCosts(takes_chains=True)
    for _ in range(LEARNED):
        costs.chain_stored(1, 0.3 * MS)
    groups = 0

    while not costs.chain_limit > 64:
        groups += 1
        if costs.prefers_chain(64):
            costs.chain_stored(64, (0.3 + 0.03 * 63) * MS)
        else:
            costs.batch_stored(64, 5 * MS)

    assert groups <= 5 * FIRST_PROBES_EVERY


def test_a_slow_spell_is_got_over_where_callers_come_in_step() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=20, each_ms=1, batch_ms=20)
    assert costs.chain_limit == 1

    for _ in range(10 * PROBE_EVERY):
        if costs.prefers_chain(6):
            costs.chain_stored(6, 3 * MS)
        else:
            costs.batch_stored(6, 5 * MS)

    # What a single event takes is known to be no more than 3 ms.
    assert costs.chain_limit >= 4


def test_far_from_the_limit_the_other_way_is_tried_too_but_rarely() -> None:
    costs = AppendCosts(takes_chains=True)
    measured(costs, first_ms=1.9, each_ms=1.5, batch_ms=5)

    assert not any(costs.prefers_chain(64) for _ in range(FAR_PROBES_EVERY - 1))
    assert costs.prefers_chain(64)


@pytest.mark.parametrize("events", [1, 200, 1_000], ids=["one event", "far above", "more than a chain can have"])
def test_where_the_other_way_would_cost_much_more_it_is_not_tried(events: int) -> None:
    costs = AppendCosts(takes_chains=True)
    usual = costs.prefers_chain(events)

    assert all(costs.prefers_chain(events) is usual for _ in range(3 * PROBE_EVERY))


def test_a_clock_that_stands_still_teaches_nothing() -> None:
    costs = AppendCosts(takes_chains=True)
    limit = costs.chain_limit
    for _ in range(LEARNED):
        costs.chain_stored(8, 0.0)
        costs.chain_ended(8, START, queued=8)
        costs.batch_stored(8, 0.0)

    assert costs.chain_limit == limit
