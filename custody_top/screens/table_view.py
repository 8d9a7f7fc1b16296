"""A table on the screen: its heading, its columns, as many rows as there is room for, and the chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custody_top.lines.cells import QUIET, STRONG, Cell, fitted
from custody_top.lines.columns import row_text, widths
from custody_top.screens.strips import LinesWidget

if TYPE_CHECKING:
    from custody_top.glance import Glance
    from custody_top.lines.cells import Line
    from custody_top.tables.table import Table, Target


class TableView(LinesWidget, can_focus=True):
    """Shows one table. The chosen row stays the same one, wherever it moves to."""

    def __init__(self, table: Table, *, with_columns: bool = True) -> None:
        super().__init__(id=table.name.replace(" ", "-"))
        self.table = table
        self._with_columns = with_columns
        self._glance: Glance | None = None
        self._chosen_key: str | None = None
        self._chosen = 0
        self._first = 0
        """The first row that is seen."""

    @property
    def room(self) -> int:
        """How many rows are seen at once."""
        return max(self.size.height - self.chrome, 0)

    @property
    def chrome(self) -> int:
        """Lines beside the rows."""
        return 2 if self._with_columns else 1

    def take(self, glance: Glance) -> None:
        """List anew."""
        self._glance = glance
        if glance.reading is not None:
            self.table.refresh(glance.watch, glance.reading)
        self._find_chosen()

    def draw(self) -> None:
        """Show what was listed."""
        glance, width, table = self._glance, self.size.width, self.table
        if glance is None or glance.reading is None or not self.size.height:
            self.show_lines([])
            return
        heading = f" {table.heading}" + (f"  {self._where()}" if len(table) > self.room else "")
        marked = f"{STRONG} reverse" if self.has_focus else STRONG
        lines: list[Line] = [(Cell(fitted(heading, width), marked),)]
        sizes = widths(table.columns, width - 1)
        if self._with_columns:
            names = row_text([column.name for column in table.columns], table.columns, sizes)
            lines.append((Cell(f" {names}", QUIET),))
        if not len(table) and self.room:
            lines.append((Cell(f" {table.empty}{' like that' if table.q else ''}", QUIET),))
        for place in range(self._first, min(self._first + self.room, len(table))):
            row = table.row(place, glance.reading)
            style = f"{row.style} reverse" if self.has_focus and place == self._chosen else row.style
            text = row_text(row.cells, table.columns, sizes)
            lines.append((Cell(fitted(f" {text}", width), style),))
        self.show_lines(lines, "" if glance.liveness.live else QUIET)

    @property
    def target(self) -> Target | None:
        """What the chosen row is about."""
        glance = self._glance
        if glance is None or glance.reading is None or not len(self.table):
            return None
        return self.table.target(self._chosen, glance.reading)

    def move(self, rows: int) -> None:
        """Choose another row, so many further down."""
        self.choose(self._chosen + rows)

    def choose(self, place: int) -> None:
        """Choose a row, or the nearest one that there is."""
        self._chosen = max(min(place, len(self.table) - 1), 0)
        self._chosen_key = self.table.key(self._chosen) if len(self.table) else None
        self._scroll()
        self.draw()

    def _find_chosen(self) -> None:
        table, key = self.table, self._chosen_key
        if not 0 <= self._chosen < len(table) or table.key(self._chosen) != key:
            found = None if key is None else table.place_of(key)
            self._chosen = max(min(self._chosen, len(table) - 1), 0) if found is None else found
            if found is None:
                self._chosen_key = table.key(self._chosen) if len(table) else None
        self._scroll()

    def _scroll(self) -> None:
        """Have the chosen row among those that are seen."""
        room = max(self.room, 1)
        first = min(self._first, max(len(self.table) - room, 0))
        self._first = max(min(first, self._chosen), self._chosen - room + 1)

    def _where(self) -> str:
        last = min(self._first + self.room, len(self.table))
        return f"{self._first + 1:,}–{last:,}"

    def on_resize(self) -> None:
        """Use the room that there is now."""
        self._scroll()
        self.draw()

    def on_focus(self) -> None:
        """Show that the keys are for this table."""
        self.draw()

    def on_blur(self) -> None:
        """Show that they are not."""
        self.draw()
