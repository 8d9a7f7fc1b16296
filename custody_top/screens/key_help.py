"""The page of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custody_top.forms import KEYS
from custody_top.lines.cells import QUIET, STRONG, Cell

if TYPE_CHECKING:
    from custody_top.lines.cells import Line

LOOKING = (
    ("Tab, Shift+Tab", "the next table, the one before"),
    ("↑ ↓ PgUp PgDn Home End", "choose a row (also k j, g G)"),
    ("Enter", "open the task or the agent; Escape goes back"),
    ("/", "show only rows with these words; Escape drops them"),
    ("s  S", "sort by the next column; the other way round"),
    ("f", "tasks: live, queued, assigned, …, ended"),
    ("w", "tasks: only those that the chosen agent holds; again: all"),
    ("z", "give the whole screen to this table; again: all three"),
)
ACTING = (
    ("a  A", "what can be done with the chosen row; with the whole pool"),
    *((key, verb) for key, verb in KEYS.items()),
)


def help_lines() -> list[Line]:
    """Return the page."""
    lines: list[Line] = [(Cell(" custody top: the pool as it is now", STRONG),), ()]
    lines += [_line(*each) for each in LOOKING]
    lines += [(), (Cell(" To act, on the chosen task or agent; each asks first and takes a reason:", QUIET),)]
    lines += [_line(*each) for each in ACTING[:1]]
    verbs = ACTING[1:]
    for start in range(0, len(verbs), 3):
        cells = [Cell("   ")]
        for key, verb in verbs[start : start + 3]:
            cells += [Cell(key, STRONG), Cell(f" {verb:<14}")]
        lines.append(tuple(cells))
    lines += [(), _line("?  q", "this page; quit"), (), (Cell(" Escape goes back", QUIET),)]
    return lines


def _line(keys: str, does: str) -> Line:
    return (Cell(f"   {keys:<24}", STRONG), Cell(does))
