"""A comparison as an SVG: a group of bars for each case, each group to its own scale, with the spread of the rounds."""

from __future__ import annotations

import html
from collections.abc import Sequence

from tests.benchmarks.peers.catalogue import BY_NAME
from tests.benchmarks.peers.comparisons import Comparison
from tests.benchmarks.peers.report import spread
from tests.benchmarks.peers.results import Outcome, Series

WIDTH, VALUES = 760, 190
CHARACTER = 6.6
"""The width of a character of the names, at most in the average."""
NAMES = 14 + round(CHARACTER * max(len(each.label) for each in BY_NAME.values()))
BAR, GAP, HEAD, TITLE = 16, 4, 26, 50
INK, OTHER_BAR, SPREAD = "#24292f", "#b6c2cf", "#57606a"
OWN_BAR, OWN_TINT = "#1f6feb", "#8fbcff"
"""Of the Custody that the others are compared with, and of Custody in another form."""


def svg(comparison: Comparison, outcome: Outcome) -> str:
    """Return the drawing of the comparison's first figure."""
    figure = comparison.figures[0]
    parts: list[str] = []
    rounds = 0
    y = TITLE
    for case in dict.fromkeys(each.case for each in outcome.series):
        drawn = [each for each in outcome.series if each.case == case and figure.key in each.figures]
        if drawn:
            parts += [_text(8, y + 16, case, weight="bold"), *_bars(comparison, drawn, y + HEAD)]
            rounds = max(rounds, *(len(each.figures[figure.key]) for each in drawn))
            y += HEAD + len(drawn) * (BAR + GAP) + GAP
    better = "more is better" if figure.more_is_better else "less is better"
    title = _text(8, 20, comparison.picture_title, size=14, weight="bold")
    note = _text(8, 38, f"{better}; {'median, lowest and highest' if rounds > 1 else 'one round'}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">',
            f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>',
            title,
            note,
            *parts,
            "</svg>\n",
        ]
    )


def _bars(comparison: Comparison, drawn: Sequence[Series], top: int) -> list[str]:
    """Draw a group; its longest bar ends where the values begin."""
    figure = comparison.figures[0]
    highest = max(max(each.figures[figure.key]) for each in drawn) or 1.0
    scale = (WIDTH - NAMES - VALUES) / highest
    parts = []
    for row, series in enumerate(drawn):
        y = top + row * (BAR + GAP)
        values = series.figures[figure.key]
        median = series.median(figure.key) or 0.0
        low, high = NAMES + min(values) * scale, NAMES + max(values) * scale
        fill = _fill(comparison, series)
        parts += [
            _text(NAMES - 6, y + 12, BY_NAME[series.contender].label, anchor="end"),
            f'<rect x="{NAMES}" y="{y}" width="{median * scale:.1f}" height="{BAR}" fill="{fill}"/>',
            _text(high + 6, y + 12, spread(series, figure)),
        ]
        if len(values) > 1:
            parts.append(f'<path d="M{low:.1f} {y + BAR / 2}H{high:.1f}" stroke="{SPREAD}" stroke-width="2"/>')
    return parts


def _fill(comparison: Comparison, series: Series) -> str:
    if series.contender == comparison.own:
        return OWN_BAR
    return OWN_TINT if series.contender.startswith("custody") else OTHER_BAR


def _text(x: float, y: float, words: str, *, size: int = 12, weight: str = "normal", anchor: str = "start") -> str:
    style = f'font-family="sans-serif" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{INK}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{html.escape(words)}</text>'
