"""What operators note and change is shown wherever events are: in the history, audits, post-mortems and exports."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.infra.cli.conftest import Run

UPDATED = 'priority high, title "New title", labels x, y'
REVIEWED = 'review: "looks good", {"score":5}'
AFTERWARDS = 'blame: "it was the cable"'
REBOOTED = 'outage: "rebooted"'


@pytest.fixture
async def noted(ask: Run) -> Run:
    """`T` was changed and noted while `a1` held it, and noted after its end; so was its agent."""
    await ask("agent", "register", "a1")
    await ask("submit", "T", "--title", "Old title")
    ask_as_board = ("--actor", "board")
    await ask("agent", "claim", "a1")
    await ask(
        "update", "T", "--priority", "high", "--title", "New title", "--label", "x", "--label", "y", *ask_as_board
    )
    await ask("annotate", "T", "--kind", "review", "--note", "looks good", "--data", '{"score": 5}', *ask_as_board)
    await ask("complete", "T", *ask_as_board)
    await ask("annotate", "T", "--kind", "blame", "--note", "it was the cable", *ask_as_board)
    await ask("annotate", "--agent-id", "a1", "--kind", "outage", "--note", "rebooted", *ask_as_board)
    return ask


async def test_labels_can_be_taken_away(ask: Run) -> None:
    await ask("submit", "T", "--label", "x")
    await ask("update", "T", "--title", "a title alone")
    assert (await ask("query", "task", "T", "--json")).json["result"]["labels"] == ["x"]
    await ask("update", "T", "--no-labels")
    assert (await ask("query", "task", "T", "--json")).json["result"]["labels"] == []
    assert (await ask("history", "T")).lines[-1].endswith("  update  labels none")


async def test_the_history_shows_them_with_who_wrote_them(noted: Run) -> None:
    lines = (await noted("history", "T")).lines
    assert [line.split("  ")[2:] for line in lines if "ops/board" in line] == [
        ["updated", "ops/board", "update", UPDATED],
        ["noted", "ops/board", "annotate", REVIEWED],
        ["completed", "ops/board", "complete", *lines[-2].split("  ")[5:]],
        ["noted", "ops/board", "annotate", AFTERWARDS],
    ]
    assert lines[-2].split("  ")[-1].startswith("held by a1 for ")
    events = [json.loads(line) for line in (await noted("history", "T", "--json")).lines]
    assert [each["data"]["kind"] for each in events if each["event"] == "noted"] == ["review", "blame"]


async def test_audits_show_them_and_select_them(noted: Run) -> None:
    everything = (await noted("audit")).out
    for words in (UPDATED, REVIEWED, AFTERWARDS, REBOOTED):
        assert words in everything
    selected = (await noted("audit", "--event", "noted", "--event", "updated", "--format", "csv")).out
    rows = list(csv.DictReader(io.StringIO(selected)))
    assert [(row["entity"], row["id"], row["event"], row["actor"], row["what"]) for row in rows] == [
        ("task", "T", "updated", "ops/board", UPDATED),
        ("task", "T", "noted", "ops/board", REVIEWED),
        ("task", "T", "noted", "ops/board", AFTERWARDS),
        ("agent", "a1", "noted", "ops/board", REBOOTED),
    ]
    assert REBOOTED in (await noted("audit", "--agent", "a1")).out
    of_task = (await noted("audit", "--task", "T")).out
    assert [words for words in (UPDATED, REVIEWED, AFTERWARDS) if words not in of_task] == []


@pytest.mark.parametrize(
    ("selection", "shown", "absent"),
    [
        ((), (UPDATED, REVIEWED, AFTERWARDS, REBOOTED), ()),
        (("--task", "T"), (UPDATED, REVIEWED, AFTERWARDS), (REBOOTED,)),
        (("--agent", "a1"), (UPDATED, REVIEWED, REBOOTED), ()),
    ],
    ids=["all of it", "the task", "the agent"],
)
async def test_a_post_mortem_shows_them_beside_what_happened(
    noted: Run, directory: Path, selection: tuple[str, ...], shown: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    await noted("postmortem", *selection, "--output", "page.html")
    page = (directory / "page.html").read_text(encoding="utf-8").replace("&#34;", '"').replace("&quot;", '"')
    assert [words for words in shown if words not in page] == []
    assert [words for words in absent if words in page] == []


async def test_an_export_shows_them_as_the_log_does(noted: Run) -> None:
    await noted("export", "log.custody")
    assert (await noted("history", "T", "--file", "log.custody")).lines == (await noted("history", "T")).lines
    from_file = (await noted("audit", "--event", "noted", "--file", "log.custody")).out
    assert REBOOTED in from_file
