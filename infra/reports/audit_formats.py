"""An audit's rows as a table, JSON lines or CSV, written as they are read: no format keeps all of them."""

from __future__ import annotations

import csv
import re
from enum import StrEnum
from json.encoder import encode_basestring_ascii as _quoted
from typing import IO, TYPE_CHECKING, Protocol

from domain.timestamps import format_timestamp, timestamp_text
from projections.reports.audit_rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COLUMNS = Row._fields
_TABLE_COLUMNS = ("position", "time", "actor", "subject", "event", "agent", "token", "why", "what")
_SIZING_ROWS = 200
_WIDEST = 40
_QUOTE, _TWO_QUOTES = '"', '""'


class Format(StrEnum):
    """How an audit is written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Sink(Protocol):
    """Writes rows in order."""

    ascii_only: bool
    """Whether the JSON in the rows must be ASCII."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class JsonLines:
    """One JSON object a line, in ASCII."""

    ascii_only = True

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._file.write("".join(map(_json_line, rows)))

    def close(self) -> None:
        """Flush the file."""
        self._file.flush()


def _json_line(row: Row) -> str:
    position, time, actor, entity, entity_id, event, agent, token, verb, command_id, keyed, reason, what, *jsons = row
    return (
        f'{{"position": {position}, "time": {"null" if time is None else _quoted(timestamp_text(time))}, '
        f'"actor": {_quoted(actor)}, "entity": {_quoted(entity)}, "id": {_quoted(entity_id)}, '
        f'"event": {_quoted(event)}, "agent": {"null" if agent is None else _quoted(agent)}, '
        f'"token": {"null" if token is None else token}, "verb": {_quoted(verb)}, '
        f'"command_id": {_quoted(command_id)}, "keyed": {"true" if keyed else "false"}, '
        f'"reason": {"null" if reason is None else _quoted(reason)}, '
        f'"what": {_quoted(what)}, "numbers": {jsons[0]}, "data": {jsons[1]}}}\n'
    )


class Csv:
    """RFC 4180 with a header; `numbers` and `data` are JSON in their cells."""

    ascii_only = False

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        csv.writer(file).writerow(COLUMNS)

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._file.write("".join(map(_csv_line, rows)))

    def close(self) -> None:
        """Flush the file."""
        self._file.flush()


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the full-width forms, which spreadsheets take for the others."""
_FORMULA = re.compile(r"\0[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""Searched in cells joined by NUL characters, with one before the first."""


def _csv_line(row: Row) -> str:
    """Return a row's line. The cells are searched as one text, for hardly any needs quotes."""
    position, time, actor, entity, entity_id, event, agent, token, verb, command_id, keyed, reason, what, *jsons = row
    cells = ["", actor, entity, entity_id, event, agent or "", verb, command_id, reason or ""]
    joined = "\0".join(cells)
    if _to_be_quoted(joined) or _FORMULA.search(joined):
        _, actor, entity, entity_id, event, agent, verb, command_id, reason = map(_cell, cells)
    numbers, data = [text if text == "{}" else f'"{text.replace(_QUOTE, _TWO_QUOTES)}"' for text in jsons]
    return (
        f"{position},{'' if time is None else timestamp_text(time)},{actor},{entity},{entity_id},{event},{agent or ''},"
        f"{'' if token is None else token},{verb},{command_id},{'true' if keyed else 'false'},{reason or ''},"
        f"{_cell(what)},{numbers},{data}\r\n"
    )


def _cell(text: str) -> str:
    """Return a cell, quoted if necessary, that no spreadsheet evaluates as a formula: agents wrote its text."""
    if text.startswith(_FORMULA_STARTS):
        text = f"'{text}"
    return f'"{text.replace(_QUOTE, _TWO_QUOTES)}"' if _to_be_quoted(text) else text


def _to_be_quoted(text: str) -> bool:
    return _QUOTE in text or "," in text or "\n" in text or "\r" in text


class Table:
    """Aligned columns, sized by the first rows; a wider cell shifts the rest of its line."""

    ascii_only = False

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line
        self._waiting: list[tuple[str, ...]] = []
        self._widths: list[int] | None = None

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._waiting.extend(_cells(each) for each in rows)
        if self._widths is not None or len(self._waiting) >= _SIZING_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the rows that waited for the columns to be sized."""
        if self._waiting:
            self._flush()

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        if self._widths is None:
            lines.insert(0, _TABLE_COLUMNS)
            self._widths = [
                min(_WIDEST, max(len(each[index]) for each in lines)) for index in range(len(_TABLE_COLUMNS))
            ]
        for cells in lines:
            self._line("  ".join(map(str.ljust, cells, self._widths)).rstrip())


def _cells(row: Row) -> tuple[str, ...]:
    return (
        str(row.position),
        "" if row.time is None else format_timestamp(row.time),
        row.actor,
        f"{row.entity}/{row.id}",
        row.event,
        row.agent or "",
        "" if row.token is None else str(row.token),
        f"{row.verb} {row.command_id}".strip() if row.keyed else row.verb,
        row.what,
    )
