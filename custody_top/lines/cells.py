"""Lines of styled text, cut to a width in cells of a terminal; nothing in a text controls it.

Colours are the terminal's own green, red and magenta, which are readable on dark and light backgrounds. No information
is in the colour alone.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from infra.host.printable import printable


class Cell(NamedTuple):
    """A stretch of text in one style."""

    text: str
    style: str = ""
    """Words such as `bold`, `dim`, `red` and `reverse`, as rich has them."""


Line = tuple[Cell, ...]
"""One line of a terminal."""
ELLIPSIS = "…"
_WORDS = re.compile(r" *[^ ]+")
GOOD, BAD, ODD, QUIET, STRONG = "green", "red", "magenta", "dim", "bold"


def plain(line: Line) -> str:
    """Return a line's text."""
    return "".join(cell.text for cell in line).rstrip()


def fitted(text: object, width: int, *, right: bool = False) -> str:
    """Return a text in exactly so many cells: cut with an ellipsis, or filled with blanks."""
    if width <= 0:
        return ""
    # Cut before it is made printable: a text may have kilobytes.
    shown = printable(str(text)[: 4 * width])
    size = cell_len(shown)
    if size > width:
        return set_cell_size(shown, width - 1) + ELLIPSIS
    blanks = " " * (width - size)
    return blanks + shown if right else shown + blanks


def cut(line: Line, width: int) -> Line:
    """Return a line in at most so many cells; its texts are made printable."""
    found: list[Cell] = []
    left = width
    for cell in line:
        text = printable(cell.text[: 4 * width])
        size = cell_len(text)
        if size > left:
            if left > 0:
                found.append(Cell(set_cell_size(text, left - 1) + ELLIPSIS, cell.style))
            break
        found.append(Cell(text, cell.style))
        left -= size
    return tuple(found)


def wrapped(text: str, width: int) -> list[str]:
    """Return a text as lines of at most so many cells, broken at blanks where that is possible.

    Its own line breaks and the blanks at a line's beginning stay.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _WORDS.findall(printable(paragraph)):
            rest = word
            if line.strip() and cell_len(line + rest) > width:
                lines.append(line)
                line, rest = "", word.lstrip(" ")
            while cell_len(line + rest) > width and len(rest) > 1:
                # A word that is longer than a line is broken anywhere.
                head = _head(rest, width - cell_len(line))
                lines.append(line + head)
                line, rest = "", rest[len(head) :]
            line += rest
        lines.append(line)
    return lines


def _head(text: str, width: int) -> str:
    """Return as much of a text as fits, at least one character."""
    size = 0
    for place, char in enumerate(text):
        size += cell_len(char)
        if size > width:
            return text[: max(place, 1)]
    return text
