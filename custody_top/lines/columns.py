"""Which columns of a table fit into a width, and rows under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from custody_top.lines.cells import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = 1
"""Cells between two columns."""


class Column(NamedTuple):
    """A column."""

    name: str
    width: int
    """In cells; of one that stretches, at least."""
    rank: int = 0
    """Where there is too little room, columns of the highest rank are left out first; 0: never."""
    right: bool = False
    stretch: int = 0
    """Its share of the room that is left."""


def widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return each column's width; 0 where it is left out."""
    kept = list(range(len(columns)))
    for place in sorted(kept, key=lambda place: (-columns[place].rank, -place)):
        if columns[place].rank == 0 or _needed(columns, kept) <= width:
            break
        kept.remove(place)
    left = max(width - _needed(columns, kept), 0)
    shares = sum(columns[place].stretch for place in kept)
    found = [0] * len(columns)
    for place in kept:
        more = left * columns[place].stretch // shares if shares else 0
        found[place] = columns[place].width + more
    return found


def row_text(cells: Sequence[object], columns: Sequence[Column], sizes: Sequence[int]) -> str:
    """Return the cells of a row under their columns."""
    return (" " * GAP).join(
        fitted("" if cell is None else cell, size, right=column.right)
        for cell, column, size in zip(cells, columns, sizes, strict=True)
        if size
    )


def _needed(columns: Sequence[Column], kept: Sequence[int]) -> int:
    return sum(columns[place].width for place in kept) + GAP * max(len(kept) - 1, 0)
