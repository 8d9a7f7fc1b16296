"""The options of `python -m tests.benchmarks.peers`, and what of the comparisons they choose."""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.arguments import duration, new_file, positive, refuse_unknown, some_of
from tests.benchmarks.peers import stealing
from tests.benchmarks.peers.catalogue import BY_NAME, CONTENDERS
from tests.benchmarks.peers.comparisons import COMPARISONS, QUICK, Case, Comparison
from tests.benchmarks.peers.results import Run

DESCRIPTION = """\
Custody beside what people would pick instead, in one run.

Starts real servers on free loopback ports, skips by name what is not installed and says how to get it, and has the
contenders take turns on the same work. Prints medians, spreads and ratios, and writes JSON and a plot a comparison into
.peers/results of the checkout.
"""
TURN_S, QUICK_TURN_S = 2.0, 0.8
ROUNDS, QUICK_ROUNDS = 5, 2


class Chosen(NamedTuple):
    """What is measured of a comparison."""

    comparison: Comparison
    cases: list[Case]
    contenders: list[str]


class Options(NamedTuple):
    """The options, each of them checked."""

    chosen: list[Chosen]
    stealing: bool
    """Whether stealing is measured, too."""
    quick: bool
    rounds: int
    seconds: float
    """Of each turn."""
    json: Path | None
    write_docs: bool
    read: Run | None
    """An earlier run, to make the page from; nothing is measured then."""


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options; a wrong one ends the program with status 2 and a line that says what there is."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        chosen = [] if given.read else _chosen(given)
    except ArgumentTypeError as error:
        parser.error(str(error))
    return Options(
        chosen,
        stealing.NAME in given.only or not (given.only or given.quick or given.contenders or given.cases),
        given.quick,
        given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS),
        given.seconds or (QUICK_TURN_S if given.quick else TURN_S),
        given.json,
        given.write_docs,
        given.read,
    )


def _parser() -> argparse.ArgumentParser:
    names = [*(each.name for each in COMPARISONS), stealing.NAME]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers",
        usage="%(prog)s [options]; -h lists them",
        description=DESCRIPTION,
        epilog="\n".join(["comparisons, and their cases:", *map(_shown, COMPARISONS)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small cases, two short rounds: about half a minute")
    parser.add_argument("--only", type=some_of(names), default=[], metavar="NAMES", help=f"of {', '.join(names)}")
    parser.add_argument(
        "--contenders",
        type=contenders,
        default=[],
        metavar="NAMES",
        help=f"of {', '.join(BY_NAME)}; or their labels in the tables",
    )
    parser.add_argument("--cases", type=_cases, default=[], metavar="LABELS", help="such as '1 caller; 64 callers'")
    parser.add_argument("--long", action="store_true", help="also what takes minutes")
    turns = f"turns of each contender [{ROUNDS}; {QUICK_ROUNDS} with --quick]"
    parser.add_argument("--rounds", type=positive, help=turns)
    parser.add_argument("--seconds", type=duration, help=f"of each turn [{TURN_S:g}; {QUICK_TURN_S} with --quick]")
    kept = "where to keep the figures [.peers/results/run.json]"
    parser.add_argument("--json", type=new_file, metavar="FILE", help=kept)
    parser.add_argument("--write-docs", action="store_true", help="make the tables of docs/performance.md from the run")
    parser.add_argument("--read", type=_run, metavar="FILE", help="make them from an earlier run's JSON instead")
    return parser


def contenders(text: str) -> list[str]:
    """Return the names of contenders that are separated by commas. A label of the tables will do, even with a comma."""
    known = {each.name: each.name for each in CONTENDERS} | {each.label.casefold(): each.name for each in CONTENDERS}
    parts, found, unknown = text.split(","), list[str](), list[str]()
    while parts:
        for length in range(len(parts), 0, -1):
            name = known.get(",".join(parts[:length]).strip().casefold())
            if name is not None:
                found.append(name)
                break
        else:
            length = 1
            unknown.append(parts[0].strip())
        del parts[:length]
    refuse_unknown(unknown, list(BY_NAME))
    return found


def _cases(text: str) -> list[str]:
    return [each.strip() for each in text.split(";")]


def _run(text: str) -> Run:
    try:
        return Run.read(Path(text))
    except OSError as error:
        raise ArgumentTypeError(f"{text} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise ArgumentTypeError(f"{text} is no run that was kept as JSON") from None


def _chosen(given: argparse.Namespace) -> list[Chosen]:
    """Return what there is to measure. Raises ArgumentTypeError where something that was named gives nothing."""
    among = [each for each in COMPARISONS if (each.name in given.only if given.only else given.long or not each.long)]
    _check_cases(given, among)
    _check_contenders(given, among)
    chosen = []
    for comparison in among:
        cases = [case for case in comparison.cases if case.quick or not given.quick]
        cases = [case for case in cases if not given.cases or case.label.casefold() in _folded(given.cases)]
        names = given.contenders or (QUICK if given.quick else comparison.contenders)
        part = [each for each in comparison.contenders if each in names]
        if cases and part:
            chosen.append(Chosen(comparison, cases, part))
        elif given.only and not (given.cases or given.contenders):
            raise ArgumentTypeError(f"argument --only: {comparison.name} has nothing that --quick measures")
    if not chosen and stealing.NAME not in given.only:
        raise ArgumentTypeError("nothing to measure: no comparison has both these cases and these contenders")
    return chosen


def _check_cases(given: argparse.Namespace, among: Sequence[Comparison]) -> None:
    labels = list(dict.fromkeys(case.label for each in among for case in each.cases if case.quick or not given.quick))
    unknown = [label for label in given.cases if label.casefold() not in _folded(labels)]
    try:
        refuse_unknown(unknown, labels, "; ")
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"argument --cases: {error}") from None


def _check_contenders(given: argparse.Namespace, among: Sequence[Comparison]) -> None:
    for name in given.contenders:
        if not any(name in each.contenders for each in among):
            where = ", ".join(each.name for each in COMPARISONS if name in each.contenders)
            raise ArgumentTypeError(f"argument --contenders: {name} has no part in what is chosen, only in: {where}")


def _folded(labels: Sequence[str]) -> set[str]:
    return {label.casefold() for label in labels}


def _shown(comparison: Comparison) -> str:
    return f"  {comparison.name:<10}{'; '.join(case.label for case in comparison.cases)}"
