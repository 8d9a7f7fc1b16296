"""An audit's rows as Parquet: typed columns, for tools that aggregate and join."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from domain.limits import MAX_INT64
from infra.host.optional_libraries import install_hint
from infra.reports.audit_formats import COLUMNS
from infra.reports.report_error import ReportError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from projections.reports.audit_rows import Row

_TOKEN = COLUMNS.index("token")


class Parquet:
    """Row groups of at most GROUP_ROWS rows or GROUP_BYTES bytes; `numbers` and `data` are JSON text."""

    ascii_only = False
    GROUP_ROWS = 50_000
    GROUP_BYTES = 64 * 1024 * 1024

    def __init__(self, path: Path) -> None:
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise ReportError(install_hint("Parquet needs the pyarrow library", "pyarrow")) from None
        arrow = self._arrow
        kinds = {
            "position": arrow.int64(),
            "time": arrow.timestamp("us", tz="UTC"),
            "token": arrow.int64(),
            "keyed": arrow.bool_(),
        }
        self._schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
        self._writer = parquet.ParquetWriter(str(path), self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        columns = [*zip(*rows, strict=True)]
        columns[_TOKEN] = tuple(None if token is None or token > MAX_INT64 else token for token in columns[_TOKEN])
        arrays = [self._arrow.array(each, field.type) for each, field in zip(columns, self._schema, strict=True)]
        batch = self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._waiting.append(batch)
        self._rows += len(rows)
        self._bytes += batch.nbytes
        if self._rows >= self.GROUP_ROWS or self._bytes >= self.GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._arrow.Table.from_batches(self._waiting))
            self._waiting, self._rows, self._bytes = [], 0, 0
