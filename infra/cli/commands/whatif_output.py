"""A comparison of policies as tables, JSON and CSV."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from domain.timestamps import format_timestamp
from infra.reports.whatif_policies import written
from projections.reports.time_text import duration, moment
from projections.whatif.comparison_result import pareto_front
from projections.whatif.measures import Measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from infra.cli.terminal.output import Output
    from projections.whatif.comparison_result import ComparisonResult, PolicyResult

_SMALLEST_COLUMN = 10
_GAP = 2
_TRADED: Final = ("false", "of\nall", "held by\nthe dead", "95th\n%", "redone", "renew-\nals", "stuck", "sto-\nlen", "")
_LESS_WANTED: Final = ("stuck", "redone", "renew-\nals", "of\nall")
"""Measures that a narrow terminal is not shown, the first first."""
_BREAKS: Final = re.compile(r"_(?!s$)")
"""Where a setting's name may be wrapped; its unit stays on the line of the word before."""
_MEASURES: Final[tuple[tuple[str, Callable[[Measures], str]], ...]] = (
    ("recoveries", lambda m: str(m.recoveries)),
    ("  of which false", lambda m: _of(m.false, m.recoveries)),
    ("  of which undecided", lambda m: str(m.undecided) if m.undecided else ""),
    ("held by the dead, total", lambda m: duration(m.held_s)),
    ("  median", lambda m: _length(m.held_median_s)),
    ("  95th percentile", lambda m: _length(m.held_p95_s)),
    ("  longest", lambda m: _length(m.held_max_s)),
    ("work redone", lambda m: duration(m.redone_s)),
    ("renewals written", lambda m: str(m.renewals)),
    ("tasks stolen", lambda m: str(m.steals)),
    ("called stuck", lambda m: str(m.stuck)),
    ("  of which false", lambda m: _of(m.stuck_false, m.stuck)),
    ("quarantined", lambda m: str(m.quarantined)),
)


def show_tables(out: Output, pool: str, outcome: ComparisonResult) -> None:
    """Print the comparison as tables."""
    if outcome.first_at is not None and outcome.last_at is not None:
        out.heading(
            f"{outcome.leases} leases of pool {pool}, {moment(outcome.first_at)} to {moment(outcome.last_at)}, replayed"
        )
    single = [each for each in outcome.policies if not each.policy.cell]
    cells = [each for each in outcome.policies if each.policy.cell]
    out.line()
    _side_by_side(out, [outcome.recorded, outcome.replayed, *single])
    if cells:
        _trade_off(out, outcome.replayed, cells)
    out.line()
    _remarks(out, outcome)


def show_json(out: Output, outcome: ComparisonResult) -> None:
    """Print the comparison as one JSON document."""
    out.json(
        {
            "leases": outcome.leases,
            "from": format_timestamp(outcome.first_at) if outcome.first_at else None,
            "to": format_timestamp(outcome.last_at) if outcome.last_at else None,
            "agreement": {**outcome.agreement._asdict(), "whole": outcome.agreement.whole},
            "rows": [_document(row, on_front) for row, on_front in _with_front(outcome)],
            "unreadable_events": outcome.unreadable,
        }
    )


def show_csv(outcome: ComparisonResult) -> None:
    """Print the comparison as CSV, one line for each row; the settings are JSON in their cell."""
    writer = csv.writer(sys.stdout)
    writer.writerow(("policy", "settings", *Measures._fields, "front"))
    for row, on_front in _with_front(outcome):
        named = json.dumps(dict(row.policy.named))
        measures = ("" if value is None else value for value in row.measures)
        writer.writerow((row.policy.name, named, *measures, "" if on_front is None else str(on_front).lower()))


def _with_front(outcome: ComparisonResult) -> list[tuple[PolicyResult, bool | None]]:
    """Return all rows; those of policies with whether they are on the front: no other is better in both measures."""
    chosen = [outcome.replayed, *outcome.policies]
    return [(outcome.recorded, None), *zip(chosen, pareto_front([each.measures for each in chosen]), strict=True)]


def _document(row: PolicyResult, on_front: bool | None) -> dict[str, Any]:
    return {
        "policy": row.policy.name,
        "settings": dict(row.policy.named),
        **row.measures._asdict(),
        "front": on_front,
        "without_effect": row.misfits,
        "finer_than_the_record": row.finer_than_record,
    }


def _side_by_side(out: Output, rows: Sequence[PolicyResult]) -> None:
    """Print a row for each measure and a column for each policy, in as many tables as the terminal's width needs."""
    labels = [label for label, _ in _MEASURES]
    first = max(map(len, labels)) + _GAP
    columns = [[shown(row.measures) for _, shown in _MEASURES] for row in rows]
    widths = [
        max(_SMALLEST_COLUMN, len(row.policy.name), *map(len, cells)) for row, cells in zip(rows, columns, strict=True)
    ]
    room = (out.console.width if out.terminal else sys.maxsize) - first
    start = 0
    while start < len(rows):
        end, used = start, 0
        while end < len(rows) and (end == start or used + widths[end] + _GAP <= room):
            used += widths[end] + _GAP
            end += 1
        if start:
            out.line()
        names = ["", *(row.policy.name for row in rows[start:end])]
        lines = [[label, *(cells[index] for cells in columns[start:end])] for index, label in enumerate(labels)]
        out.table(names, [line for line in lines if any(line[1:])])
        start = end


def _trade_off(out: Output, replayed: PolicyResult, cells: Sequence[PolicyResult]) -> None:
    """Print the cells of each grid from the fewest false recoveries to the most; the front of all is marked."""
    marks = dict(
        zip(map(id, (replayed, *cells)), pareto_front([each.measures for each in (replayed, *cells)]), strict=True)
    )
    steals_differ = len({each.measures.steals for each in (replayed, *cells)}) > 1
    grids: dict[str, list[PolicyResult]] = {}
    for each in cells:
        grids.setdefault(_base(each), []).append(each)
    for base, rows in grids.items():
        axes = list(rows[0].policy.cell)
        lines = []
        for row in sorted((replayed, *rows), key=_place):
            m, cell = row.measures, row.policy.cell
            settings = [written(cell[axis]) for axis in axes] if cell else [row.policy.name, *[""] * (len(axes) - 1)]
            numbers = [str(m.false), str(m.recoveries), duration(m.held_s), _length(m.held_p95_s), duration(m.redone_s)]
            # Only steal settings change it, and a column more is too much for many a terminal.
            numbers += [str(m.renewals), str(m.stuck), str(m.steals) if steals_differ else ""]
            lines.append([*settings, *numbers, "front" if marks[id(row)] else ""])
        out.line()
        out.heading(f"TRADE-OFF{f' over {base}' if base else ''}")
        _numbers(out, [*axes, *_TRADED], lines)


def _numbers(out: Output, names: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print right-aligned columns, without those that have no value; in a terminal their names are wrapped.

    What a terminal has no room for is left out, and named.
    """
    if not out.terminal:
        out.table([_in_one_line(name) or "best" for name in names], lines)
        return
    kept = [index for index in range(len(names)) if any(line[index] for line in lines)]
    table, left_out = _table(names, lines, kept), list[str]()
    unbounded = out.console.options.update(width=sys.maxsize)
    for name in _LESS_WANTED:
        if out.console.measure(table, options=unbounded).maximum <= out.console.width:
            break
        if names.index(name) in kept:
            kept.remove(names.index(name))
            left_out.append(_in_one_line(name))
            table = _table(names, lines, kept)
    out.console.print(table)
    if left_out:
        out.line(f"left out for want of room: {', '.join(left_out)}; --format csv has all", "dim")


def _table(names: Sequence[str], lines: Sequence[Sequence[str]], kept: Sequence[int]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, collapse_padding=True)
    for index in kept:
        table.add_column(Text(_BREAKS.sub("_\n", names[index])), justify="right", vertical="bottom", overflow="fold")
    for line in lines:
        style = "green" if line[-1] else ""
        table.add_row(*(Text(line[index], style=style) for index in kept))
    return table


def _in_one_line(name: str) -> str:
    return name.replace("-\n", "").replace("\n", " ")


def _place(row: PolicyResult) -> tuple[int, float]:
    return row.measures.false, row.measures.held_s


def _base(row: PolicyResult) -> str:
    """Return the name of the policy file that a cell is based on."""
    policy = row.policy
    return policy.name.partition(f"{next(iter(policy.cell))}=")[0].strip() if policy.cell else ""


def _remarks(out: Output, outcome: ComparisonResult) -> None:
    agreement = outcome.agreement
    if agreement.whole:
        out.line(
            f"check: the replay under the recorded settings makes the {agreement.recorded} recorded recoveries and no "
            f"other, at most {duration(agreement.largest_difference_s)} apart",
            "green",
        )
    else:
        out.line(
            f"check: of {agreement.recorded} recorded recoveries the replay under the recorded settings makes "
            f"{agreement.same}, and {agreement.added} others: if other settings were in force, name them with --config",
            "yellow",
        )
    stolen, replayed = outcome.recorded.measures.steals, outcome.replayed.measures.steals
    if stolen != replayed:
        out.line(
            f"caution: recorded are {stolen} tasks stolen, replayed {replayed}: the log does not say who claimed in "
            "vain, or other settings were in force; compare replays with each other",
            "yellow",
        )
    misfits = Counter(misfit for row in outcome.policies for misfit in row.misfits)
    for misfit, policies in misfits.items():
        advice = "add lease_mode" if " mode " in misfit else "name those of then with --config, or try --every-task"
        out.line(f"{policies} {'policy' if policies == 1 else 'policies'} without effect: {misfit}; {advice}", "yellow")
    finer = [row.policy.name for row in outcome.policies if row.finer_than_record]
    if finer:
        out.line(
            "caution: beats that were not worth a renewal are not in the log; judging as finely as that, "
            f"{_few(finer)} may show more false recoveries than there would have been",
            "yellow",
        )
    if outcome.other_thresholds_s:
        shown = ", ".join(f"{each:g}" for each in outcome.other_thresholds_s)
        out.line(f"the log was also judged with stuck_threshold_s {shown}", "yellow")
    if outcome.unreadable:
        out.line(f"{outcome.unreadable} events could not be read or applied, and were passed over", "red")


def _few(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} policies (the first is {names[0]})"


def _of(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.0f} %)" if part else "0"


def _length(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)
