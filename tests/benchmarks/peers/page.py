"""docs/performance.md: what lies between two marks on it is made from a run; the prose around is written by people.

A mark is `<!-- peers: NAME -->`, up to `<!-- peers: end -->`. NAME is a comparison, or one of `answer`, `aims`,
`machine` and `set-up`.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.peers import aims
from tests.benchmarks.peers.catalogue import BY_NAME
from tests.benchmarks.peers.comparisons import COMPARISONS, Comparison
from tests.benchmarks.peers.plot import svg
from tests.benchmarks.peers.report import number
from tests.benchmarks.peers.results import Outcome, Run, ratios
from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
END = "<!-- peers: end -->"
BLOCK = re.compile(rf"(?s)(<!-- peers: ([\w-]+) -->\n)(.*?)({END})")
PAR = 0.95
"""From here to its inverse two contenders are called as quick as each other."""


def write(run: Run) -> None:
    """Make the page's tables and plots anew from a run. A comparison that the run lacks keeps what it has."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), run), encoding="utf-8")
    for comparison, outcome in _measured(run):
        plot_path(comparison).write_text(svg(comparison, outcome), encoding="utf-8")


def plot_path(comparison: Comparison) -> Path:
    """Where the page's plot of a comparison is."""
    return IMAGES / f"peers-{comparison.name}.svg"


def filled(page: str, run: Run) -> str:
    """Return the page with its blocks made from the run."""
    made: dict[str, Callable[[], list[str]]] = {
        "answer": lambda: answer(run),
        "aims": lambda: aims_met(run),
        "machine": lambda: machine(run),
        "set-up": lambda: set_up(run),
    }
    for comparison, outcome in _measured(run):
        made[comparison.name] = lambda comparison=comparison, outcome=outcome: [  # type: ignore[misc]
            *table(comparison, outcome),
            "",
            f"![{comparison.picture_title}](images/{plot_path(comparison).name})",
        ]

    def fill(block: re.Match[str]) -> str:
        if block[2] not in made:
            return block[0]
        return block[1] + "\n".join(["", *made[block[2]](), "", block[4]])

    return BLOCK.sub(fill, page)


def answer(run: Run) -> list[str]:
    """When Custody is slower than each contender, by the medians of the rounds side by side."""
    rows = ["| Custody beside | slower | as quick | quicker |", "|---|---|---|---|"]
    for name, contender in ((name, each) for name, each in BY_NAME.items() if not name.startswith("custody")):
        told: dict[str, list[str]] = {"slower": [], "as quick": [], "quicker": []}
        for comparison, outcome in _measured(run):
            speeds = [(case.label, _speed(comparison, outcome, name, case.label)) for case in comparison.cases]
            known = [(label, speed) for label, speed in speeds if speed is not None]
            for verdict, group in itertools.groupby(known, lambda each: _verdict(each[1])):
                told[verdict].append(f"{comparison.short}: {_in_short(list(group), len(known))}")
        if any(told.values()):
            cells = ("; ".join(each) for each in told.values())
            rows.append(f"| {contender.label} | {' | '.join(cells)} |")
    return rows


def _in_short(speeds: Sequence[tuple[str, float]], all_cases: int) -> str:
    """Consecutive cases with Custody's speeds: the first to the last, the least to the most."""
    if len(speeds) <= 2:
        return ", ".join(f"{label} {speed:.2f} ×" for label, speed in speeds)
    least, most = min(speed for _, speed in speeds), max(speed for _, speed in speeds)
    where = "all cases" if len(speeds) == all_cases else f"{speeds[0][0]} to {speeds[-1][0]}"
    return f"{where} {least:.2f} to {most:.2f} ×"


def aims_met(run: Run) -> list[str]:
    """The aims, and what bounds those that were missed."""
    return ["| aim | reached | |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in aims.rows(run))]


def machine(run: Run) -> list[str]:
    """Where and when it was measured, and who was missing."""
    facts = run.machine
    told = [
        f"Measured {facts['at'][:10]} on {facts['cores']} cores ({facts['system']}), Python {facts['python']}.",
        f"When the run began, the load was {number(facts['load'] or 0)}, and a write of 4 KiB flushed to disk took",
        f"{number(facts['fsync_ms'])} ms.",
    ]
    if run.skipped:
        told.append(f"Not there: {', '.join(BY_NAME[name].label for name in run.skipped)}.")
    return told


def set_up(run: Run) -> list[str]:
    """What each contender is, and what is on disk when it answers."""
    part = {each.contender for outcome in run.outcomes for each in outcome.series}
    rows = ["| | on disk before the answer | set-up | does |", "|---|---|---|---|"]
    shown = (each for name, each in BY_NAME.items() if name in part)
    return rows + [f"| {each.label} | {each.durability} | {each.set_up} | {each.keeps} |" for each in shown]


def table(comparison: Comparison, outcome: Outcome) -> list[str]:
    """Medians of the first figure, others behind it; in brackets Custody's speed as a multiple of that."""
    cases = [case.label for case in comparison.cases if any(each.case == case.label for each in outcome.series)]
    rows = [f"| | {' | '.join(cases)} |", "|---" * (len(cases) + 1) + "|"]
    for name in dict.fromkeys(each.contender for each in outcome.series):
        cells = [_cell(comparison, outcome, name, case) for case in cases]
        rows.append(f"| {BY_NAME[name].label} | {' | '.join(cells)} |")
    return rows


def _cell(comparison: Comparison, outcome: Outcome, name: str, case: str) -> str:
    series = outcome.of(name, case)
    medians = [series.median(each.key) for each in comparison.figures] if series else []
    shown = ", ".join(number(each) for each in medians if each is not None)
    speed = _speed(comparison, outcome, name, case)
    return f"{shown} ({speed:.2f} ×)" if shown and speed else shown or "–"


def _speed(comparison: Comparison, outcome: Outcome, name: str, case: str) -> float | None:
    """Custody's speed as a multiple of another's: above 1 it is the quicker."""
    own, other = outcome.of(comparison.own, case), outcome.of(name, case)
    if own is None or other is None or own is other:
        return None
    figure = comparison.figures[0]
    found = ratios(own, other, figure.key) if figure.more_is_better else ratios(other, own, figure.key)
    return statistics.median(found) if found else None


def _verdict(speed: float) -> str:
    if speed < PAR:
        return "slower"
    return "quicker" if speed > 1 / PAR else "as quick"


def _measured(run: Run) -> list[tuple[Comparison, Outcome]]:
    known = {each.name: each for each in COMPARISONS}
    return [(known[each.name], each) for each in run.outcomes if each.name in known and each.series]
