"""The output of a command: coloured in a terminal, plain lines elsewhere, JSON on request.

Control characters are printed as escapes wherever they are, in names and keys as in values, so that no task can control
the terminal.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

from domain.timestamps import parse_timestamp
from infra.host.printable import printable
from infra.host.shell import complain
from projections.reports.time_text import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from rich.console import Console

_LOG = logging.getLogger(__name__)
STYLES = {
    "queued": "cyan",
    "assigned": "blue",
    "in_progress": "green",
    "stuck": "yellow",
    "blocked": "yellow",
    "quarantined": "magenta",
    "completed": "bold green",
    "failed": "bold red",
    "cancelled": "dim",
    "live": "green",
    "lost": "red",
    "draining": "yellow",
    "paused": "yellow",
    "expiring_soon": "yellow",
    "expired": "red",
    "overloaded": "red",
    "underloaded": "cyan",
    "unreadable": "bold red",
}
"""The styles of words that are the whole content of a cell."""
_TIMESTAMP_CHARS = 27


class Output:
    """Standard output of one command."""

    def __init__(self, *, as_json: bool, now: datetime) -> None:
        self.as_json = as_json
        self.terminal = sys.stdout.isatty()
        self._now = now
        self._console: Console | None = None

    def json(self, value: Any) -> None:
        """Print a value as JSON: indented in a terminal, on one line elsewhere."""
        print(json.dumps(value, indent=2 if self.terminal else None), flush=True)

    def json_line(self, value: Any) -> None:
        """Print a value as one line of JSON."""
        print(json.dumps(value), flush=True)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line without wrapping it."""
        text = printable(text)
        if self.terminal:
            from rich.text import Text

            self.console.print(Text(text, style=style), soft_wrap=True)
        else:
            print(text, flush=True)

    def wrapped(self, text: str) -> None:
        """Print an indented line of a list, wrapped at words in a terminal."""
        if not self.terminal:
            self.line(f"  {text}")
            return
        from rich.padding import Padding
        from rich.text import Text

        self.console.print(Padding(Text(printable(text)), (0, 0, 0, 2)))

    def heading(self, text: str) -> None:
        """Print a heading."""
        self.line(text, "bold")

    def facts(self, pairs: Iterable[tuple[str, Any]], title: str = "") -> None:
        """Print names with their values."""
        rows = [(printable(name), self.cell(name, value)) for name, value in pairs]
        self._titled(title)
        if self.terminal:
            from rich.table import Table
            from rich.text import Text

            grid = Table.grid(padding=(0, 2))
            grid.add_column(style="dim", no_wrap=True)
            grid.add_column(overflow="fold")
            for name, value in rows:
                grid.add_row(Text(name), Text(value, style=STYLES.get(value, "")))
            self.console.print(grid)
            return
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            self.line(f"{name:<{width}}  {value}".rstrip())

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
        """Print rows under their columns; columns without any value are left out."""
        kept = [index for index in range(len(columns)) if any(row[index] not in (None, "", [], {}) for row in rows)]
        cells = [[self.cell(columns[index], row[index], brief=True) for index in kept] for row in rows]
        names = [printable(columns[index]) for index in kept]
        self._titled(title)
        if self.terminal:
            self._table_in_terminal(*_fitted(names, cells, self.console.width))
            return
        widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
        for line in (names, *cells):
            self.line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def _table_in_terminal(self, names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, collapse_padding=True)
        for name, column in zip(names, zip(*cells, strict=True), strict=True):
            widest = max(map(len, column), default=0)
            table.add_column(
                Text(name),
                overflow="fold",
                no_wrap=name not in _FLEXIBLE,
                min_width=min(widest, _FLEXIBLE_WIDTH) if name in _FLEXIBLE else None,
            )
        for row in cells:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        self.console.print(table)

    def cell(self, name: str, value: Any, *, brief: bool = False) -> str:
        """Return a value as text; in a terminal a time is shown relative to now, too, with `brief` only so."""
        if value is None:
            return "-" if self.terminal else ""
        if isinstance(value, str):
            return printable(self._moment(value, brief=brief))
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float):
            return f"{value:.6g}"
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return printable(", ".join(value))
        if isinstance(value, list | dict):
            return printable(json.dumps(value, ensure_ascii=False))
        return f"{value} %" if name == "percent" else str(value)

    @property
    def console(self) -> Console:
        """The terminal."""
        if self._console is None:
            from infra.cli.terminal.safe_console import SafeConsole

            self._console = SafeConsole()
        return self._console

    def _titled(self, title: str) -> None:
        if title:
            self.heading(title)

    def _moment(self, text: str, *, brief: bool) -> str:
        if not self.terminal or len(text) != _TIMESTAMP_CHARS or not text.endswith("Z"):
            return text
        try:
            seconds = (parse_timestamp(text) - self._now).total_seconds()
        except ValueError:
            return text
        relative = f"in {duration(seconds)}" if seconds >= 0 else f"{duration(-seconds)} ago"
        return relative if brief else f"{text[:10]} {text[11:19]}Z ({relative})"


_FLEXIBLE = frozenset(
    {"title", "labels", "capabilities", "required_capabilities", "reason", "why", "value", "task_ids", "detail"}
)
"""Columns that wrap in a narrow terminal, down to `_FLEXIBLE_WIDTH`."""
_FLEXIBLE_WIDTH = 16
_DISPENSABLE = (
    "submitted_at",
    "not_before",
    "required_capabilities",
    "granted_at",
    "lease_s",
    "grace_s",
    "planned_at",
    "version",
    "intake",
    "left_s",
    "reports",
    "last_beat_at",
    "task_status",
    "attempt",
    "grace_until",
    "labels",
    "status_since",
    "heard_at",
    "deadline",
    "priority",
)
"""Columns that are left out in a terminal that is too narrow, in this order."""


def _fitted(names: list[str], cells: list[list[str]], width: int) -> tuple[list[str], list[list[str]]]:
    """Return the columns that fit into a terminal."""
    widths = {
        name: max(len(name), *(len(row[index]) for row in cells)) if cells else len(name)
        for index, name in enumerate(names)
    }
    widths = {name: min(wide, _FLEXIBLE_WIDTH) if name in _FLEXIBLE else wide for name, wide in widths.items()}
    for name in _DISPENSABLE:
        if sum(widths.values()) + 2 * len(widths) <= width:
            break
        widths.pop(name, None)
    kept = [index for index, name in enumerate(names) if name in widths]
    return [names[index] for index in kept], [[row[index] for index in kept] for row in cells]


def print_error(text: str) -> None:
    """Print one line on standard error; where records are logged as JSON, as a record."""
    # Most commands configure no logging, and need not load what does.
    if logging.getLogger().handlers:
        from infra.host.log_output import logs_json

        if logs_json():
            _LOG.warning("%s", text)
            return
    complain(printable(text))


def flatten(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return a document's values by dotted names, nested objects taken apart; an object of counts stays one value."""
    pairs: list[tuple[str, Any]] = []
    for name, value in document.items():
        if not isinstance(value, dict) or not value:
            pairs.append((f"{prefix}{name}", value))
        elif len(value) > 1 and all(each is None or _is_number(each) for each in value.values()):
            pairs.append((f"{prefix}{name}", _counts(value)))
        else:
            pairs.extend(flatten(value, f"{prefix}{name}."))
    return pairs


def _counts(counts: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in counts.items() if value) or "none"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
