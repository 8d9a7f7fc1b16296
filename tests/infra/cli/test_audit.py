"""Audits of a real log: every filter, every format, and what is said of bad input."""

import csv
import gc
import io
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from handlers.ports import StoredMessage
from infra.cli.commands import audit
from infra.cli.session.open_log import OpenLog
from infra.cli.terminal.progress import frozen_objects
from infra.host.optional_libraries import install_hint
from infra.reports import audit_formats, audit_parquet
from infra.service.serving import PoolServer
from projections.reports.audit_filter import LEARNED_SUBJECTS
from tests.infra.cli.conftest import BAD_SELECTIONS, Result, Run


@pytest.fixture
async def busy(ask: Run) -> Run:
    """1 opened, 2 led, 3 a1 registered, 4 T1 submitted, 5 leased, 6 started, 7 progressed, 8 T2 submitted,
    9 a2 registered, 10 leased T2 by a2, 11 T1 completed, 12 T2 cancelled."""
    await ask("agent", "register", "a1", "--capability", "git")
    await ask("submit", "T1", "--title", "=1+1", "--actor", "alice")
    await ask("agent", "claim", "a1")
    await ask("agent", "start", "a1", "T1", "--token", "5")
    await ask("agent", "progress", "a1", "T1", "--token", "5", "--percent", "30", "--message", "so far")
    await ask("submit", "T2")
    await ask("agent", "register", "a2")
    await ask("agent", "claim", "a2")
    await ask("agent", "complete", "a1", "T1", "--token", "5")
    await ask("cancel", "T2", "--reason", "not needed", "--actor", "bob", "--command-id", "c-1")
    return ask


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.lines]


def names(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


def positions(result: Result) -> list[int]:
    return [each["position"] for each in rows(result)]


FILTERS: list[tuple[str, list[int]]] = [
    ("", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ("--task T1", [4, 5, 6, 7, 11]),
    ("--agent a1", [3, 5, 6, 7, 11]),
    ("--agent a2", [9, 10, 12]),
    ("--agent a2 --from 11", [12]),
    ("--agent a1 --event completed", [11]),
    ("--agent a1 --task T2", []),
    ("--event leased", [5, 10]),
    ("--event leased --from 6", [10]),
    ("--event leased --event submitted", [4, 5, 8, 10]),
    ("--event leased --event submitted --agent a1", [5]),
    ("--event leased --to 9", [5]),
    ("--event submitted --actor ops", [4, 8]),
    ("--actor ops/alice", [4]),
    ("--actor agent", [3, 5, 6, 7, 9, 10, 11]),
    ("--entity pool", [1, 2]),
    ("--from 3 --to 5", [3, 4, 5]),
    ("--from 0 --to 1", [1]),
    ("--to 2001-01-01T00:00:00Z", []),
    ("--from 2999-01-01T00:00:00Z", []),
    ("--from 0001-01-01T00:00:00Z --to 1", [1]),
]


async def test_filters(busy: Run) -> None:
    found = {options: positions(await busy("audit", *options.split(), "--json")) for options, _ in FILTERS}
    assert found == dict(FILTERS)


async def test_what_an_agent_held_when_the_audit_begins_is_known_from_a_snapshot(
    busy: Run, at_broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(log: OpenLog, subjects: str | None, after: int, until: int) -> AsyncIterator[Sequence[StoredMessage]]:
        read.append((after, until))
        return messages(log, subjects, after, until)

    read: list[tuple[int, int]] = []
    messages = audit._messages  # noqa: SLF001 - which stretches are read shows nowhere else
    monkeypatch.setenv("CUSTODY_WRITER_PASSWORD", at_broker.credentials("writer")["password"])
    await busy("submit", "T3")
    await busy("assign", "T3", "--agent-id", "a1")
    assert (await busy("snapshot", "--json")).json["position"] == 14
    await busy("submit", "T4")
    await busy("revoke", "T3")
    monkeypatch.setattr(audit, "_messages", noted)
    found = rows(await busy("audit", "--agent", "a1", "--from", "16", "--json"))
    assert [each["event"] for each in found] == ["revoked", "requeued"]
    assert read == [*[(14, 15)] * len(LEARNED_SUBJECTS), (15, 17)]


async def test_times_bound_an_audit_and_are_included(busy: Run) -> None:
    times = {each["position"]: each["time"] for each in rows(await busy("audit", "--json"))}
    assert positions(await busy("audit", "--from", times[5], "--to", times[9], "--json")) == [5, 6, 7, 8, 9]


async def test_a_row_says_who_what_when_why_and_by_which_numbers(busy: Run) -> None:
    cancelled = rows(await busy("audit", "--event", "cancelled", "--format", "jsonl"))[0]
    assert (cancelled["actor"], cancelled["entity"], cancelled["id"]) == ("ops/bob", "task", "T2")
    assert (cancelled["verb"], cancelled["command_id"], cancelled["keyed"]) == ("cancel", "c-1", True)
    assert (cancelled["agent"], cancelled["token"], cancelled["reason"]) == ("a2", 10, "not needed")
    leased = rows(await busy("audit", "--event", "leased", "--task", "T1", "--json"))[0]
    assert leased["numbers"] == {
        "attempt": 1, "lease_s": 180.0, "grace_s": 60.0, "expires_at": leased["data"]["expires_at"],
    }  # fmt: skip


async def test_the_table_has_a_header_and_a_line_for_each_event(busy: Run) -> None:
    lines = (await busy("audit", "--task", "T1")).lines
    assert lines[0].split() == ["position", "time", "actor", "subject", "event", "agent", "token", "why", "what"]
    assert [line.split()[0] for line in lines[1:]] == ["4", "5", "6", "7", "11"]
    assert "token" not in lines[1][20:]
    shown = (await busy("audit", "--task", "T1", terminal=True)).out
    assert '30 % "so far" (report 1)' in shown.replace("\n", "")


async def test_csv_keeps_every_column_and_nothing_that_a_spreadsheet_would_run(busy: Run, tmp_path: Path) -> None:
    file = tmp_path / "audit.csv"
    assert (await busy("audit", "--task", "T1", "--output", str(file))).out == ""
    read = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert tuple(read[0]) == audit_formats.COLUMNS
    assert [each["position"] for each in read] == ["4", "5", "6", "7", "11"]
    assert json.loads(read[0]["data"])["title"] == "=1+1"
    assert (await busy("audit", "--task", "T1", "--format", "csv")).out == file.read_bytes().decode()


async def test_parquet_has_types(busy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(audit_parquet.Parquet, "GROUP_ROWS", 5)
    file = tmp_path / "audit.parquet"
    await busy("audit", "--output", str(file))
    table = parquet.read_table(file)
    assert table.column_names == list(audit_formats.COLUMNS)
    assert table.column("position").to_pylist() == list(range(1, 13))
    assert table.column("token").to_pylist()[4] == 5
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    assert json.loads(table.column("data").to_pylist()[6])["percent"] == 30
    assert names(tmp_path) == ["audit.parquet"]


async def test_an_empty_parquet_file_is_one(busy: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    await busy("audit", "--actor", "nobody", "--output", str(tmp_path / "none.parquet"))
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


async def test_without_pyarrow_it_is_one_line(
    busy: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = await run("audit", "--output", str(tmp_path / "a.parquet"))
    assert (result.status, result.out) == (1, "")
    assert result.err == f"custody: {install_hint('Parquet needs the pyarrow library', 'pyarrow')}\n"
    assert names(tmp_path) == []


BAD_INPUT = [
    *BAD_SELECTIONS,
    (f"--to {'9' * 5000}", "is past the end of the log, 2"),
    ("--from 2026-13-21", "neither a position nor a time"),
    ("--output nowhere/a.csv", "cannot write nowhere/a.csv: No such file or directory"),
]


async def test_bad_input_is_one_line(run: Run, service: PoolServer) -> None:
    for options, said in BAD_INPUT:
        result = await run("audit", *options.split())
        assert (result.status, result.out) == (1, ""), options
        assert said in result.err
        assert result.err.count("\n") == 1


async def test_wrong_usage(run: Run, service: PoolServer) -> None:
    wrong = ("--event leasd", "--format parquet", "--json --format csv", "--task T --entity pool", "--output a.xls")
    for options in wrong:
        assert (await run("audit", *options.split())).status == 2, options


async def test_it_streams(busy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No chunk is kept once it is written."""
    written: list[int] = []

    class Counting(audit_formats.JsonLines):
        def write(self, rows: Any) -> None:
            written.append(len(rows))
            super().write(rows)

    monkeypatch.setattr(audit, "JsonLines", Counting)
    monkeypatch.setattr("infra.nats.reader.CHUNK_MESSAGES", 3)
    assert len((await busy("audit", "--json")).lines) == sum(written) == 12
    assert max(written) <= 3


def test_garbage_is_looked_for_as_before_once_it_is_done() -> None:
    with frozen_objects():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
