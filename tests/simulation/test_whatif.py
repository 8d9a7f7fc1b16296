"""Replaying what was recorded under the rules it was recorded with makes the record; and what may never get worse."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.policies.lease import LeaseMode
from domain.rules import Rules
from projections.whatif.comparison import Comparison
from projections.whatif.comparison_result import ComparisonResult
from projections.whatif.policy import Policy
from tests.simulation.lives import POOL, life, live

GRANULARITY_S = 1.0
"""The sweeper looks again after a second at what it could not judge."""
RULES = [
    pytest.param(Rules(), id="defaults"),
    pytest.param(Rules(renewal_worth=0.5, stuck_threshold_s=90.0), id="quickly stuck, renewals rare"),
    pytest.param(Rules(sweeper_enabled=False, rearm_max_s=20.0, rearm_jitter_s=9.0), id="no sweeper, short reprieve"),
]
SEEDS = st.integers(0, 11)
TERMS_S = st.sampled_from([5.0, 20.0, 45.0, 60.0, 100.0, 180.0, 240.0, 400.0, 900.0, 3000.0])
NEVER_S = 30 * 86_400.0


def compared(records: Any, rules: Rules, *policies: Policy) -> ComparisonResult:
    comparison = Comparison(POOL, rules, policies)
    for recorded in records:
        comparison.take(recorded)
    return comparison.finish()


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_recorded_settings_make_the_recorded_history(rules: Rules, seed: int) -> None:
    outcome = compared(asyncio.run(live(Random(seed), rules, steps=50)), rules)
    assert outcome.agreement.whole
    assert outcome.agreement.largest_difference_s <= GRANULARITY_S
    recorded, replayed = outcome.recorded.measures, outcome.replayed.measures
    assert replayed._replace(held_s=0, redone_s=0) == recorded._replace(held_s=0, redone_s=0, steals=replayed.steals)
    assert replayed.held_s == pytest.approx(recorded.held_s, abs=GRANULARITY_S)
    assert replayed.redone_s == pytest.approx(recorded.redone_s)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, terms_s=st.tuples(TERMS_S, TERMS_S).map(sorted), grace_s=st.sampled_from([0.0, 30.0]))
def test_longer_terms_never_make_more_false_recoveries(seed: int, terms_s: list[float], grace_s: float) -> None:
    """Where every sign of life is recorded: the tenth of a term that a renewal must be worth grows with the term."""
    rules = Rules(renewal_worth=0.0)
    policies = [
        Policy(
            f"{lease_s:g}",
            rules,
            {"mode": LeaseMode.FIXED, "lease_s": lease_s, "grace_s": grace_s, "max_lease_s": NEVER_S},
        )
        for lease_s in terms_s
    ]
    shorter, longer = compared(life(seed), Rules(), *policies).policies
    assert longer.measures.false <= shorter.measures.false


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    multipliers=st.tuples(st.floats(1, 20), st.floats(1, 20)).map(sorted),
    lease_s=TERMS_S,
)
def test_a_higher_silence_multiplier_never_makes_more_false_recoveries(
    seed: int, multipliers: list[float], lease_s: float
) -> None:
    policies = [
        Policy(f"{each}", Rules(), {"mode": LeaseMode.FIXED, "lease_s": lease_s, "silence_multiplier": each})
        for each in multipliers
    ]
    lower, higher = compared(life(seed), Rules(), *policies).policies
    assert higher.measures.false <= lower.measures.false
    assert higher.measures.recoveries <= lower.measures.recoveries
