"""Custody beside the bare loop on the same broker: a small, fixed part of `tests.benchmarks.peers`.

The summary shows the ratios. The test fails only where Custody lost most of its speed: both take turns, so that a busy
machine slows both, and the ratio moves by a third from run to run.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import pytest

from tests.benchmarks.peers.comparisons import COMPARISONS
from tests.benchmarks.peers.results import Run, ratios
from tests.benchmarks.peers.runner import Runner
from tests.support.cases import case

ROUNDS = 5
TURN_S = 0.4
USUAL = {"1 caller": 0.75, "64 callers": 0.75}
"""What the medians come to on two cores."""
LEAST = 1 / 3
"""Of the usual ratio, in the best of the rounds."""


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner(Run({}), lambda _: None)
    yield made
    made.stop()


@pytest.mark.slow
def test_custody_keeps_up_with_the_bare_loop(runner: Runner, record_property: Callable[[str, object], None]) -> None:
    renewals = next(each for each in COMPARISONS if each.name == "renewals")
    cases = [each for each in renewals.cases if each.label in USUAL]
    outcome = runner.compare(renewals, cases, ["custody", "bare"], ROUNDS, TURN_S)
    assert runner.run.skipped == {}
    for label, usual in USUAL.items():
        own, bare = outcome.of("custody", label), outcome.of("bare", label)
        assert own is not None
        assert bare is not None
        with case(label):
            assert (own.error, bare.error) == (None, None)
            found = ratios(own, bare, "per_s")
            ratio = statistics.median(found)
            spread = f"{min(found):.2f} to {max(found):.2f}"
            record_property(
                "measured", f"renewals, {label}: {ratio:.2f} of the bare loop's ({spread}; usually {usual:.2f})"
            )
            assert max(found) > usual * LEAST, spread
