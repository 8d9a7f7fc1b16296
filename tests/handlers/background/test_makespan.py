"""Stealing comes close to the shortest time possible, with no more moves than were needed: a pool in virtual time."""

from __future__ import annotations

import pytest

from domain.policies.load_balancing import StealConfig, StealPolicy
from tests.benchmarks.steal_loads import make_load
from tests.benchmarks.steal_simulation import simulate

AIM = 1.15
"""Of the lower bound, where sizes are known."""


@pytest.mark.parametrize("kind", ["labelled", "estimated", "two_kinds", "uniform"])
async def test_what_is_given_to_three_of_twenty_agents_is_levelled_with_one_move_a_task(kind: str) -> None:
    load = make_load(kind, agents=20, tasks=200, seed=1)

    course = await simulate(load, StealConfig())

    assert course.makespan_s <= AIM * load.lower_bound_s
    assert course.moved <= course.elsewhere


async def test_the_policy_by_counts_takes_longer() -> None:
    load = make_load("labelled", agents=20, tasks=200, seed=1)

    by_counts = await simulate(load, StealConfig(policy=StealPolicy.THRESHOLD))

    assert by_counts.makespan_s > AIM * load.lower_bound_s
