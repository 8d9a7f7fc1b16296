"""What an audit writes is the same, byte for byte, from release to release."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from domain.timestamps import parse_timestamp
from handlers.ports import StoredMessage
from infra.codec import CloudEventsCodec
from infra.reports.audit_formats import Csv
from infra.reports.audit_parquet import Parquet
from projections.reports.audit_rows import Rows
from projections.reports.event_json import EventJson
from tests.golden.audited import AUDIT, changed, first, write, written
from tests.golden.test_golden import HISTORIES, read


@pytest.mark.parametrize("ending", ["csv", "jsonl", "txt"])
def test_an_audit_of_every_event_says_what_it_said(ending: str) -> None:
    assert written(ending) == (AUDIT / f"audit.{ending}").read_bytes().decode()


def test_parquet_holds_what_the_lines_say(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write(Parquet(tmp_path / "audit.parquet"))
    lines = [json.loads(line) for line in written("jsonl").splitlines()]
    for line in lines:
        line["time"] = None if line["time"] is None else parse_timestamp(line["time"])
        for name in ("numbers", "data"):
            line[name] = json.dumps(line[name], ensure_ascii=False)
    assert parquet.read_table(tmp_path / "audit.parquet").to_pylist() == lines


@pytest.mark.parametrize(("rows", "size", "groups"), [(50_000, 2**26, 1), (100, 2**26, 2), (50_000, 10_000, 2)])
def test_parquet_keeps_no_more_than_a_row_group(
    rows: int, size: int, groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(Parquet, "GROUP_ROWS", rows)
    monkeypatch.setattr(Parquet, "GROUP_BYTES", size)
    sink = Parquet(tmp_path / "audit.parquet")
    for _ in range(groups - 1):
        sink.write(Rows().of([CloudEventsCodec("default").decode(message) for message in read(HISTORIES[0])] * 2))
    write(sink)
    assert parquet.ParquetFile(tmp_path / "audit.parquet").num_row_groups == groups


def test_csv_is_quoted_as_the_standard_library_quotes() -> None:
    text = written("csv")
    again = io.StringIO(newline="")
    csv.writer(again).writerows(csv.reader(io.StringIO(text, newline="")))
    assert again.getvalue() == text


@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_text_of_an_event_is_the_json_of_its_fields(*, ascii_only: bool) -> None:
    codec, text = CloudEventsCodec("default"), EventJson(ascii_only=ascii_only)
    for path in HISTORIES:
        for message in read(path):
            event = codec.decode(message).event
            assert text.write(event)[0] == json.dumps(event.model_dump(mode="json"), ensure_ascii=ascii_only)


def reported(**data: Any) -> StoredMessage:
    return changed(first("progressed"), {}, **data)


def test_a_number_beyond_all_bounds_is_none(tmp_path: Path) -> None:
    """JSON has no infinity, and no column holds more than 64 bits; the rest is told all the same."""
    codec = CloudEventsCodec("default")
    beyond = reported(lease_s="1e999", checkpoint=["1e999"])
    beyond = beyond._replace(body=beyond.body.replace(b'"1e999"', b"1e999"))
    rows = Rows().of([codec.decode(beyond), codec.decode(reported(token=2**70))])
    data = json.loads(rows[0].data)
    assert (data["lease_s"], data["checkpoint"]) == (None, [None])
    assert "lease_s" not in json.loads(rows[0].numbers)
    assert "term for ever" in rows[0].what

    parquet = pytest.importorskip("pyarrow.parquet")
    sink = Parquet(tmp_path / "audit.parquet")
    sink.write(rows)
    sink.close()
    assert parquet.read_table(tmp_path / "audit.parquet").column("token").to_pylist() == [rows[0].token, None]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])  # noqa: RUF001 - that is it
def test_no_cell_of_csv_begins_as_a_formula(start: str) -> None:
    out = io.StringIO(newline="")
    sink = Csv(out)
    attack = f"{start}HYPERLINK(1)"
    sink.write(Rows().of([CloudEventsCodec("default").decode(reported(message=attack))]))
    row = Rows().of([CloudEventsCodec("default").decode(first("progressed"))])[0]
    texts: dict[str, Any] = dict.fromkeys(
        ("actor", "entity", "id", "event", "agent", "verb", "command_id", "reason", "what"), attack
    )
    sink.write([row._replace(**texts)])
    for line in list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1:]:
        assert not any(cell.startswith(start) for cell in line)
        assert not any(cell[:1] in "=+-@\t\r\n＝＋－＠" for cell in line if cell)  # noqa: RUF001 - that is it
