"""Custody beside what people would pick instead: python -m tests.benchmarks.peers.

Starts real servers on free loopback ports, skips by name what is not installed and says how to get it, and has the
contenders take turns on the same work. Prints medians, spreads and ratios, and writes JSON and a plot a comparison into
`.peers/results` of the checkout.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from tests.benchmarks.peers import aims, machine, options, page, plot, report, stealing
from tests.benchmarks.peers.comparisons import COMPARISONS
from tests.benchmarks.peers.environment import PLACE
from tests.benchmarks.peers.results import Run
from tests.benchmarks.peers.runner import Runner

RESULTS = PLACE / "results"


def main() -> int:
    """Parse the options and run; return the exit status."""
    given = options.parse()
    if given.read is not None:
        page.write(given.read)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    run = Run(machine.describe())
    say(" ".join(f"{key}: {value};" for key, value in run.machine.items()))
    runner = Runner(run, say)
    try:
        for comparison, cases, contenders in given.chosen:
            rounds = min(given.rounds, comparison.rounds or given.rounds)
            outcome = runner.compare(comparison, cases, contenders, rounds, given.seconds)
            say("\n".join(["", *report.lines(comparison, outcome)]))
            _keep(run, given.json)
        if given.stealing:
            stealing.run(say, RESULTS, quick=given.quick, write_docs=given.write_docs)
    finally:
        runner.stop()
    say("\n".join(["", *(f"{aim}: {reached}, {verdict}" for aim, reached, verdict in aims.rows(run))]))
    kept = f"; figures as JSON in {given.json}" if given.json else ""
    say(f"\n{time.monotonic() - began:.0f} s; figures and plots are in {RESULTS}{kept}")
    if given.write_docs:
        page.write(run)
    return 0


def _keep(run: Run, file: Path | None) -> None:
    """Write what the run has found so far, and its plots."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    run.write(file or RESULTS / "run.json")
    for comparison in COMPARISONS:
        for outcome in (each for each in run.outcomes if each.name == comparison.name and each.series):
            (RESULTS / f"{comparison.name}.svg").write_text(plot.svg(comparison, outcome), encoding="utf-8")


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
