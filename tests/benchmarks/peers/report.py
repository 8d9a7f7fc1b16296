"""A run as text: medians with their spread, and Custody's ratio to each contender."""

from __future__ import annotations

import statistics

from tests.benchmarks.peers.catalogue import BY_NAME
from tests.benchmarks.peers.comparisons import Comparison, Figure
from tests.benchmarks.peers.results import Outcome, Series, ratios


def lines(comparison: Comparison, outcome: Outcome) -> list[str]:
    """Return a table for a terminal."""
    told = [f"{comparison.title}"]
    for case in dict.fromkeys(each.case for each in outcome.series):
        told.append(f"  {case}")
        own = outcome.of(comparison.own, case)
        for series in (each for each in outcome.series if each.case == case):
            shown = ";  ".join(
                f"{spread(series, figure)} {figure.unit}"
                for figure in comparison.figures
                if figure.key in series.figures
            )
            ratio = own and ratio_to(own, series, comparison.figures[0])
            beside = f"   {BY_NAME[comparison.own].label} is {ratio}" if ratio and series is not own else ""
            told.append(f"    {BY_NAME[series.contender].label:<22} {shown or 'failed'}{beside}")
    return told


def spread(series: Series, figure: Figure) -> str:
    """Return the median and, with several rounds, the lowest and highest."""
    values = series.figures[figure.key]
    median = number(statistics.median(values))
    return f"{median} ({number(min(values))} to {number(max(values))})" if len(values) > 1 else median


def ratio_to(own: Series, other: Series, figure: Figure) -> str | None:
    """Return what Custody reached by what another did, of the rounds side by side: the median, lowest and highest.

    The median alone if there is one round; None if there is none.
    """
    found = ratios(own, other, figure.key)
    if not found:
        return None
    median = f"{statistics.median(found):.2f} ×"
    return f"{median} ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else median


def number(value: float) -> str:
    """Return a figure with the digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
