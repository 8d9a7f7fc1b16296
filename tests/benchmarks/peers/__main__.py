"""Custody beside what people would pick instead: python -m tests.benchmarks.peers.

Starts real servers on free loopback ports, skips by name what is not installed and says how to get it, and has the
contenders take turns on the same work. Prints medians, spreads and ratios, and writes JSON and a plot a comparison into
`.peers/results` of the checkout.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.benchmarks.peers import aims, machine, page, plot, report, stealing
from tests.benchmarks.peers.comparisons import COMPARISONS, QUICK, Comparison
from tests.benchmarks.peers.environment import PLACE
from tests.benchmarks.peers.results import Run
from tests.benchmarks.peers.runner import Runner

TURN_S, QUICK_TURN_S = 2.0, 0.8
RESULTS = PLACE / "results"


def main() -> int:
    """Parse the options and run; return the exit status."""
    options = _options()
    if options.read:
        page.write(Run.read(options.read))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    run = Run(machine.describe())
    say(" ".join(f"{key}: {value};" for key, value in run.machine.items()))
    runner = Runner(run, say)
    try:
        for comparison in _chosen(options):
            _compare(runner, comparison, options)
            _keep(run, options.json)
        if stealing.NAME in options.only or not (options.only or options.quick or options.contenders):
            stealing.run(say, RESULTS, write_docs=options.write_docs)
    finally:
        runner.stop()
    say("\n".join(["", *(f"{aim}: {reached}, {verdict}" for aim, reached, verdict in aims.rows(run))]))
    say(f"\n{time.monotonic() - began:.0f} s; figures and plots are in {RESULTS}")
    if options.write_docs:
        page.write(run)
    return 0


def _compare(runner: Runner, comparison: Comparison, options: argparse.Namespace) -> None:
    """Measure what the options ask for of a comparison, and print it."""
    cases = [case for case in comparison.cases if case.quick or not options.quick]
    cases = [case for case in cases if not options.cases or case.label in options.cases]
    among = options.contenders or (QUICK if options.quick else comparison.contenders)
    contenders = [each for each in comparison.contenders if each in among]
    if cases and contenders:
        rounds = min(options.rounds, comparison.rounds or options.rounds)
        outcome = runner.compare(comparison, cases, contenders, rounds, options.seconds)
        say("\n".join(["", *report.lines(comparison, outcome)]))


def _keep(run: Run, file: Path | None) -> None:
    """Write what the run has found so far, and its plots."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    run.write(file or RESULTS / "run.json")
    for comparison in COMPARISONS:
        for outcome in (each for each in run.outcomes if each.name == comparison.name and each.series):
            (RESULTS / f"{comparison.name}.svg").write_text(plot.svg(comparison, outcome), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    names = [*(each.name for each in COMPARISONS), stealing.NAME]
    parser.add_argument("--quick", action="store_true", help="small cases, two short rounds: under a minute")
    parser.add_argument("--only", type=_listed, default=[], metavar="NAMES", help=f"of {', '.join(names)}")
    parser.add_argument("--contenders", type=_listed, default=[], metavar="NAMES", help="of those in catalogue.py")
    parser.add_argument("--cases", type=_cases, default=[], metavar="LABELS", help="such as '1 caller; 64 callers'")
    parser.add_argument("--long", action="store_true", help="also what takes minutes")
    parser.add_argument("--rounds", type=int, help="turns of each contender [5; 2 with --quick]")
    parser.add_argument("--seconds", type=float, help="of each turn [2; 0.8 with --quick]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to keep the figures [.peers/results/run.json]")
    parser.add_argument("--write-docs", action="store_true", help="make the tables of docs/performance.md from the run")
    parser.add_argument("--read", type=Path, metavar="FILE", help="make them from an earlier run's JSON instead")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (QUICK_TURN_S if options.quick else TURN_S)
    return options


def _listed(text: str) -> list[str]:
    return text.split(",")


def _cases(text: str) -> list[str]:
    return [each.strip() for each in text.split(";")]


def _chosen(options: argparse.Namespace) -> list[Comparison]:
    if options.only:
        return [each for each in COMPARISONS if each.name in options.only]
    return [each for each in COMPARISONS if options.long or not each.long]


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
