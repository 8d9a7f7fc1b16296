"""Lines as a terminal's strips, and a widget that is made of them and draws only what changed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from custody_top.lines.cells import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from custody_top.lines.cells import Line


@lru_cache(maxsize=256)
def style_of(words: str) -> Style:
    """Return the style of a cell."""
    return Style.parse(words) if words.strip() else Style.null()


def strip_of(line: Line, width: int, style: str = "") -> Strip:
    """Return a line as a strip of exactly so many cells. `style`: added to each cell's own."""
    segments = [Segment(cell.text, style_of(f"{cell.style} {style}")) for cell in cut(line, width)]
    return Strip(segments).adjust_cell_length(width, style_of(style))


class LinesWidget(Widget):
    """A widget made of lines."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - the library's name
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._style = ""
        self._strips: list[Strip] = []

    def show_lines(self, lines: Sequence[Line], style: str = "") -> None:
        """Show these lines from the top; those that are as before are not drawn again. `style`: added to all."""
        self._lines, self._style = lines, style
        self._make_strips()

    def on_resize(self) -> None:
        """Use the room that there is now."""
        self._make_strips()

    def _make_strips(self) -> None:
        width, before = self.size.width, self._strips
        self._strips = [strip_of(line, width, self._style) for line in self._lines[: self.size.height]]
        for place in range(max(len(before), len(self._strips))):
            old = before[place] if place < len(before) else None
            new = self._strips[place] if place < len(self._strips) else None
            if old != new:
                self.refresh(Region(0, place, width, 1))

    def render_line(self, y: int) -> Strip:
        """Return one line; what the library calls."""
        width = self.size.width
        if y >= len(self._strips):
            return Strip.blank(width)
        return self._strips[y].adjust_cell_length(width)
