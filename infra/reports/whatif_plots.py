"""A comparison of policies, drawn with matplotlib."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from infra.host.atomic_file import atomic_file
from infra.host.optional_libraries import install_hint
from infra.reports.report_error import ReportError
from infra.reports.whatif_policies import written
from projections.reports.time_text import duration
from projections.whatif.comparison_result import pareto_front

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from projections.whatif.comparison_result import ComparisonResult, PolicyResult

ENDINGS: Final = (".svg", ".png")
_DPI: Final = 110
_COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
"""Distinguishable with colour blindness."""
_GREY: Final = "#8a8a8a"
_RECORDED: Final = "#222222"
_MOST_LABELLED: Final = 14
_BAR_IN: Final = 0.24
"""Inches for a row of bars."""


class Plotter:
    """Draws a comparison. Created before the replay, so that a missing library is reported at once."""

    def __init__(self, path: Path) -> None:
        """Raises ReportError: no such kind of picture, no library, or no such directory."""
        if path.suffix.lower() not in ENDINGS:
            raise ReportError(f"--plot {path}: name a file that ends in {' or '.join(ENDINGS)}")
        try:
            self._figure: Any = importlib.import_module("matplotlib.figure").Figure
            self._ticker: Any = importlib.import_module("matplotlib.ticker")
        except ImportError:
            raise ReportError(install_hint("plots need the matplotlib library", "matplotlib")) from None
        if not path.parent.is_dir():
            raise ReportError(f"cannot write {path}: there is no directory {path.parent}")
        self._path = path

    def draw(self, outcome: ComparisonResult) -> None:
        """Write the picture: the policies side by side, the trade-off over a grid, and the steals where they differ.

        Raises:
            ReportError: the file cannot be written.
        """
        single = [outcome.replayed, *(each for each in outcome.policies if not each.policy.cell)]
        cells = [each for each in outcome.policies if each.policy.cell]
        all_rows = [outcome.replayed, *outcome.policies]
        stolen = len({each.measures.steals for each in all_rows}) > 1
        places = {(each.measures.false, each.measures.held_s) for each in all_rows}
        # Where a grid is of steal settings alone, there is no trade-off to draw: all cells are at one point.
        trade_off = bool(cells) and (len(places) > 1 or not stolen)
        side_by_side = len(single) > 1 or not cells
        heights = [4.2] * (side_by_side + trade_off) + [1.2 + _BAR_IN * len(all_rows)] * stolen
        figure = self._figure(figsize=(10, sum(heights) + 0.4), layout="constrained")
        parts = list(figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
        figure.suptitle(f"{outcome.leases} leases replayed", fontsize=12)
        if side_by_side:
            self._policies(parts.pop(0), single)
        if trade_off:
            self._trade_off(parts.pop(0).subplots(), outcome.replayed, cells)
        if stolen:
            self._stolen(parts.pop().subplots(), all_rows)
        with atomic_file(self._path) as path:
            try:
                figure.savefig(path, format=self._path.suffix[1:].lower(), dpi=_DPI)
            except OSError as error:
                raise ReportError(f"cannot write {self._path}: {error.strerror}") from None

    def _policies(self, part: Any, rows: Sequence[PolicyResult]) -> None:
        holds, mistakes = part.subplots(1, 2, width_ratios=(3, 2))
        for row, colour in zip(rows, _cycled(len(rows)), strict=True):
            xs, ys = _steps(row.holds_s)
            holds.step(xs, ys, where="post", color=colour, label=row.policy.name, linewidth=1.8)
        holds.set_title("how long the dead held their tasks", fontsize=10)
        holds.set_xlabel("at most so long")
        holds.set_ylabel("tasks")
        holds.yaxis.set_major_locator(self._ticker.MaxNLocator(integer=True))
        holds.set_xlim(left=0)
        holds.set_ylim(bottom=0)
        self._time(holds.xaxis)
        holds.grid(alpha=0.3)
        holds.legend(frameon=False, fontsize=9, loc="best")
        places = range(len(rows))
        measures = [row.measures for row in rows]
        parts = (
            ("recovered, dead", _COLOURS[0], [m.recoveries - m.false - m.undecided for m in measures]),
            ("recovered falsely", _COLOURS[5], [m.false for m in measures]),
            ("undecided", _GREY, [m.undecided for m in measures]),
            ("called stuck", _COLOURS[6], [m.stuck for m in measures]),
        )
        left = [0] * len(rows)
        for label, colour, counts in parts:
            if any(counts):
                mistakes.barh(places, counts, left=left, color=colour, label=label)
                left = [before + count for before, count in zip(left, counts, strict=True)]
        mistakes.set_yticks(places, [row.policy.name for row in rows])
        mistakes.invert_yaxis()
        mistakes.set_title("what silence came to", fontsize=10)
        mistakes.xaxis.set_major_locator(self._ticker.MaxNLocator(integer=True, nbins=6))
        mistakes.set_xlabel("leases")
        part.legend(
            *mistakes.get_legend_handles_labels(), frameon=False, fontsize=9, loc="outside upper right", ncols=3
        )

    def _trade_off(self, axes: Any, replayed: PolicyResult, cells: Sequence[PolicyResult]) -> None:
        rows = [replayed, *cells]
        points = [(each.measures.false, each.measures.held_s) for each in rows]
        best = {
            point for point, mark in zip(points, pareto_front([each.measures for each in rows]), strict=True) if mark
        }
        axes.step(*_columns(sorted(best)), where="post", color=_COLOURS[0], alpha=0.5, zorder=1)
        for label, colour, size, on_front in (
            ("beaten by another", _GREY, 28, False),
            ("front: nothing is better in both", _COLOURS[0], 46, True),
        ):
            here = [
                (point, row.finer_than_record)
                for row, point in zip(rows, points, strict=True)
                if (point in best) is on_front
            ]
            axes.scatter(*_columns([p for p, finer in here if not finer]), color=colour, s=size, zorder=3, label=label)
            hollow = _columns([p for p, finer in here if finer])
            axes.scatter(*hollow, facecolors="white", edgecolors=colour, s=size, zorder=2)
        if any(row.finer_than_record for row in rows):
            axes.scatter(
                [],
                [],
                facecolors="white",
                edgecolors=_GREY,
                s=46,
                label="judges more finely than the record: false ones may be fewer",
            )
        axes.scatter(*_columns(points[:1]), marker="*", color=_RECORDED, s=190, zorder=4, label="recorded settings")
        self._labels(axes, cells, points[1:], best)
        axes.set_title(f"trade-off by {' × '.join(cells[0].policy.cell)}", fontsize=10)
        axes.set_xlabel("false recoveries")
        axes.set_ylabel("time the dead held tasks, in all")
        most = max(1, *(x for x, _ in points))
        axes.set_xlim(-0.03 * most, 1.14 * most)
        axes.set_ylim(0, 1.12 * max(y for _, y in points) or 1)
        self._time(axes.yaxis)
        axes.xaxis.set_major_locator(self._ticker.MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9, loc="upper right")

    def _stolen(self, axes: Any, rows: Sequence[PolicyResult]) -> None:
        bars = axes.barh(range(len(rows)), [each.measures.steals for each in rows], color=_COLOURS[0])
        axes.bar_label(bars, padding=3, fontsize=8)
        axes.set_yticks(range(len(rows)), [each.policy.name for each in rows])
        axes.invert_yaxis()
        axes.set_title("tasks that the stealer moves", fontsize=10)
        axes.set_xlabel("tasks")
        axes.xaxis.set_major_locator(self._ticker.MaxNLocator(integer=True))
        axes.grid(axis="x", alpha=0.3)

    def _labels(
        self,
        axes: Any,
        cells: Sequence[PolicyResult],
        points: Sequence[tuple[int, float]],
        best: set[tuple[int, float]],
    ) -> None:
        """Label cells by their settings: all of a few, of many those on the front; cells at one point share a label."""
        names: dict[tuple[int, float], list[PolicyResult]] = {}
        for row, point in zip(cells, points, strict=True):
            if point in best or len(set(points)) <= _MOST_LABELLED:
                names.setdefault(point, []).append(row)
        for point, rows in names.items():
            axes.annotate(_label(rows), point, xytext=(6, 5), textcoords="offset points", fontsize=8)

    def _time(self, axis: Any) -> None:
        axis.set_major_locator(self._ticker.MaxNLocator(nbins=7, steps=[1, 1.5, 2, 3, 5, 6, 10]))
        axis.set_major_formatter(self._ticker.FuncFormatter(lambda seconds, _: duration(max(seconds, 0.0))))


def _steps(rising: Sequence[float]) -> tuple[list[float], list[int]]:
    """Return the cumulative count of values, from 0 on."""
    return [0.0, *rising], list(range(len(rising) + 1))


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _cycled(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _label(rows: Sequence[PolicyResult]) -> str:
    """Return the settings of cells with the same result, such as `60 × 2, 3`."""
    values = [list(dict.fromkeys(written(row.policy.cell[axis]) for row in rows)) for axis in rows[0].policy.cell]
    return " × ".join(", ".join(each) for each in values)
