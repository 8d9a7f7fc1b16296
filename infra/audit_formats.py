"""An audit's rows as a table, JSON lines, CSV or Parquet. Each is written as it comes; no format needs the whole."""

from __future__ import annotations

import contextlib
import csv
import importlib
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from domain.timestamps import format_timestamp
from projections.audit import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COLUMNS = Row._fields
_TABLE_COLUMNS = ("position", "time", "actor", "subject", "event", "agent", "token", "why", "what")
_SIZING_ROWS = 200
_WIDEST = 40


class Format(StrEnum):
    """How an audit is written."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class FormatError(Exception):
    """The format cannot be written here; one line says why."""


class Sink(Protocol):
    """Takes rows in order, then the end."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        ...

    def close(self) -> None:
        """Write what an end needs."""
        ...


class JsonLines:
    """One JSON object a line."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._file.writelines(json.dumps(each.as_json()) + "\n" for each in rows)

    def close(self) -> None:
        """Nothing is left to write."""
        self._file.flush()


class Csv:
    """RFC 4180 with a header; `numbers` and `data` are JSON in their cells."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._writer = csv.writer(file)
        self._writer.writerow(COLUMNS)

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._writer.writerows([_inert(cell) for cell in _flat(each)] for each in rows)

    def close(self) -> None:
        """Nothing is left to write."""
        self._file.flush()


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def _inert(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: what agents wrote stands in it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


class Table:
    """Aligned columns, sized by the first rows; wider cells push the rest of their line along."""

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
        """Write what still waits for the columns to be sized."""
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


def _flat(row: Row) -> list[Any]:
    values = row.as_json()
    values["keyed"] = "true" if row.keyed else "false"
    for name in ("numbers", "data"):
        values[name] = json.dumps(values[name], ensure_ascii=False)
    return list(values.values())


class Parquet:
    """One row group for each so many rows; `numbers` and `data` are JSON text."""

    GROUP_ROWS = 50_000

    def __init__(self, path: Path) -> None:
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise FormatError("Parquet needs the pyarrow library: pip install 'custody[parquet]'") from None
        arrow = self._arrow
        kinds = {
            "position": arrow.int64(),
            "time": arrow.timestamp("us", tz="UTC"),
            "token": arrow.int64(),
            "keyed": arrow.bool_(),
        }
        self._schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
        self._writer = parquet.ParquetWriter(str(path), self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        for each in rows:
            values = each._asdict()
            for name in ("numbers", "data"):
                values[name] = json.dumps(values[name], ensure_ascii=False)
            self._waiting.append(values)
        if len(self._waiting) >= self.GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._arrow.Table.from_pylist(self._waiting, schema=self._schema))
            self._waiting = []


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside a file; what stands there at a good end becomes the file, else nothing does.

    Raises:
        FormatError: the directory is not there, or cannot be written to.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            partial.touch()
        except OSError as error:
            raise FormatError(f"cannot write {path}: {error.strerror}") from None
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
