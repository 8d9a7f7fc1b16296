"""Post-mortems of a real log: the file, the ranges, and what is said of bad input."""

import json
import re
from pathlib import Path

import pytest

from infra.cli.commands import postmortem
from infra.service.serving import PoolServer
from tests.infra.cli.conftest import BAD_SELECTIONS, Result, Run
from tests.support.broker import Connect


@pytest.fixture
async def busy(ask: Run) -> Run:
    """1 opened, 2 led, 3 a1 registered, 4 T1 submitted, 5 leased, 6 started, 7 progressed, 8 T2 submitted,
    9 a2 registered, 10 leased T2 by a2, 11 T1 completed, 12 T2 cancelled."""
    await ask("agent", "register", "a1")
    await ask("submit", "T1", "--title", "<b>first</b>")
    await ask("agent", "claim", "a1")
    await ask("agent", "start", "a1", "T1", "--token", "5")
    await ask("agent", "progress", "a1", "T1", "--token", "5", "--percent", "30")
    await ask("submit", "T2")
    await ask("agent", "register", "a2")
    await ask("agent", "claim", "a2")
    await ask("agent", "complete", "a1", "T1", "--token", "5")
    await ask("cancel", "T2", "--actor", "bob")
    return ask


def rows(file: Path) -> list[int]:
    return [int(each) for each in re.findall(r'<tr id="e(\d+)"', file.read_text(encoding="utf-8"))]


def names(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


SCOPES = [
    ("", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ("--task T1", [4, 5, 6, 7, 11]),
    ("--task T1 --to 6", [4, 5, 6]),
    ("--task T1 --from 7", [7, 11]),
    ("--agent a1", [1, 2, 3, 4, 5, 6, 7, 11]),
    ("--agent a2 --from 3", [8, 9, 10, 12]),
    ("--agent a1 --from 6 --to 10", [6, 7]),
    ("--task T1 --agent a1", [5, 6, 7, 11]),
    ("--from 3 --to 5", [3, 4, 5]),
]


async def test_what_is_in_question(busy: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.html"
    found = {}
    for options, _ in SCOPES:
        await busy("postmortem", *options.split(), "--output", str(file))
        found[options] = rows(file)
    assert found == dict(SCOPES)


async def test_it_says_what_it_wrote(busy: Run, tmp_path: Path) -> None:
    said = await busy("postmortem", "--task", "T1")
    file = tmp_path / "postmortem-T1.html"
    assert said.out.startswith("postmortem-T1.html: 5 events, ")
    assert names(tmp_path) == [file.name]
    assert "&lt;b&gt;first&lt;/b&gt;" in file.read_text(encoding="utf-8")
    found = json.loads((await busy("postmortem", "--task", "T1", "--json")).out)
    assert (found["file"], found["events"], found["left_out"]) == (file.name, 5, 0)
    assert found["bytes"] == file.stat().st_size


async def test_the_newest_events_are_kept_and_the_reader_is_told(busy: Run, tmp_path: Path) -> None:
    said = await busy("postmortem", "--limit", "4", "--output", "p.html")
    assert rows(tmp_path / "p.html") == [9, 10, 11, 12]
    assert "8 events are left out, repeats first" in said.err
    assert "8 events are left out, repeats and then the older ordinary ones first; 4 are shown" in (
        tmp_path / "p.html"
    ).read_text(encoding="utf-8")


async def test_messages_that_cannot_be_read_are_counted(busy: Run, connect: Connect, pool: str, tmp_path: Path) -> None:
    admin = await connect("admin")
    await admin.jetstream().publish(f"custody.{pool}.evt.task.T1.progressed", b"rubbish")
    await busy("postmortem", "--from", "11", "--output", "p.html")
    assert "1 message of the range cannot be read" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert rows(tmp_path / "p.html") == [11, 12]


BAD_INPUT = [
    *BAD_SELECTIONS,
    ("--to 2001-01-01T00:00:00Z", "nothing happened in that range"),
    ("--output nowhere/a.html", "cannot write nowhere/a.html: No such file or directory"),
]


async def test_bad_input_is_one_line_and_no_file(run: Run, service: PoolServer, tmp_path: Path) -> None:
    for options, said in BAD_INPUT:
        result: Result = await run("postmortem", *options.split())
        assert (result.status, result.out) == (1, ""), options
        assert said in result.err
        assert result.err.count("\n") == 1
    assert names(tmp_path) == []


async def test_a_task_outside_the_range_is_one_line(busy: Run, run: Run) -> None:
    result = await run("postmortem", "--task", "T2", "--to", "7")
    assert (result.status, result.err) == (1, "custody: nothing happened to task T2 in that range\n")


async def test_the_limit_has_a_limit(run: Run, service: PoolServer) -> None:
    assert (await run("postmortem", "--limit", str(postmortem.MOST_EVENTS + 1))).status == 2
