"""Custody beside what people would pick instead: python -m tests.benchmarks.peers.

Starts real servers on free loopback ports, skips by name what is not installed and says how to get it, and has the
contenders take turns on the same work. Prints medians, spreads and ratios, and writes JSON and a plot a comparison.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.benchmarks.peers import machine, report
from tests.benchmarks.peers.comparisons import COMPARISONS, Comparison
from tests.benchmarks.peers.results import Run
from tests.benchmarks.peers.runner import Runner


def main() -> int:
    """Parse the options and run; return the exit status."""
    options = _options()
    run = Run(machine.describe())
    runner = Runner(run, say)
    say(" ".join(f"{key}: {value};" for key, value in run.machine.items()))
    began = time.monotonic()
    try:
        for comparison in _chosen(options):
            cases = [case for case in comparison.cases if case.quick or not options.quick]
            contenders = [
                each for each in comparison.contenders if not options.contenders or each in options.contenders
            ]
            outcome = runner.compare(comparison, cases, contenders, options.rounds, options.seconds)
            say("\n".join(["", *report.lines(comparison, outcome)]))
    finally:
        runner.stop()
    say(f"\n{time.monotonic() - began:.0f} s")
    if options.json:
        run.write(options.json)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    names = [each.name for each in COMPARISONS]
    parser.add_argument("--quick", action="store_true", help="small cases, two rounds of a second: under a minute")
    parser.add_argument("--only", type=_listed, default=[], metavar="NAMES", help=f"of {', '.join(names)}")
    parser.add_argument("--contenders", type=_listed, default=[], metavar="NAMES", help="of those in catalogue.py")
    parser.add_argument("--long", action="store_true", help="also what takes minutes")
    parser.add_argument("--rounds", type=int, help="turns of each contender [5; 2 with --quick]")
    parser.add_argument("--seconds", type=float, help="of each turn [3; 1 with --quick]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    return options


def _listed(text: str) -> list[str]:
    return text.split(",")


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
