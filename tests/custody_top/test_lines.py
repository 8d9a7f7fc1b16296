"""Lines of text: cut, filled and wrapped to a width in cells, whatever is in them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from custody_top.lines.ages import short, since, until
from custody_top.lines.cells import Cell, cut, fitted, plain, wrapped
from custody_top.lines.close_up_lines import MAX_DOCUMENT_CHARS, task_lines
from custody_top.lines.columns import Column, row_text, widths
from custody_top.lines.head import Liveness, banner, head_lines
from custody_top.lines.sparkline import BARS, sparkline
from domain.timestamps import format_timestamp

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)
WIDTHS = st.integers(1, 60)
STRIP: dict[str, Any] = {
    "served_by": "host:1:1", "served": True, "position": 12_345, "mode": "live", "behind_events": 0, "intake": "open",
    "expiry_held": False, "held": 1_200, "queued": 34, "delayed": 2, "agents": 500, "oldest_wait_s": 300.0,
    "oldest_since": format_timestamp(NOW - timedelta(minutes=5)), "throughput_per_min": 12.34, "expiries_1h": 3,
    "false_recoveries_1h": 1, "last_hour_since": None, "backlog_empty_at": format_timestamp(NOW + timedelta(hours=2)),
}  # fmt: skip


@given(TEXTS, WIDTHS)
def test_a_fitted_text_has_exactly_its_width_and_controls_nothing(text: str, width: int) -> None:
    for right in (False, True):
        shown = fitted(text, width, right=right)
        assert cell_len(shown) == width
        assert shown.isprintable()


@given(st.lists(TEXTS, max_size=4), WIDTHS)
def test_a_cut_line_is_no_wider(texts: list[str], width: int) -> None:
    line = cut(tuple(Cell(text) for text in texts), width)
    assert cell_len(plain(line)) <= width
    assert plain(line).isprintable()


@given(TEXTS, st.integers(2, 60))
def test_wrapped_lines_are_no_wider_and_nothing_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cell_len(line) <= width and line.isprintable() for line in lines)
    said = "".join(lines).replace(" ", "")
    assert said == "".join(wrapped(text, 10_000)).replace(" ", "")


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("one", 8, ["one"]),
        ("", 8, [""]),
        ("a\nb", 8, ["a", "b"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ('  "a": 1', 20, ['  "a": 1']),
        ("T1  two blanks", 20, ["T1  two blanks"]),
    ],
)
def test_where_a_text_is_wrapped(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Fix [bold]it[/bold]", "Fix [bold]it[/bold] "),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07     "),
        ("\u202eevil", "\\u202eevil          "),
        ("日本語", "日本語              "),
        ("a\nb\tc", "a\\nb\\tc             "),
        ("🙂" * 20, "🙂" * 9 + " …"),
        ("x" * 100_000, "x" * 19 + "…"),
    ],
)
def test_hostile_and_wide_texts_stay_text(text: str, shown: str) -> None:
    assert fitted(text, 20) == shown


def test_columns_are_left_out_by_rank_and_stretch_by_share() -> None:
    columns = [Column("a", 5), Column("b", 5, rank=2), Column("c", 5, rank=1, stretch=1), Column("d", 5, stretch=3)]
    for width, sizes in (
        (23, [5, 5, 5, 5]),
        (27, [5, 5, 6, 8]),
        (22, [5, 0, 6, 8]),
        (16, [5, 0, 0, 10]),
        (11, [5, 0, 0, 5]),
        (3, [5, 0, 0, 5]),
    ):
        assert widths(columns, width) == sizes, width
    assert row_text(["1", None, 2.5, "word"], columns, [3, 2, 0, 6]) == "1      word  "


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([0, 0], "  "),
        ([8, 4, 1, 0], "█▄▁ "),
        ([1000, 1], "█▁"),
        ([3], "█"),
    ],
)
def test_a_sparkline(values: list[int], bars: str) -> None:
    assert sparkline(values) == bars


@given(st.lists(st.floats(0, 1e9), max_size=80))
def test_what_is_not_nothing_is_seen_in_a_sparkline(values: list[float]) -> None:
    bars = sparkline(values)
    assert len(bars) == len(values)
    assert all((bar == BARS[0]) == (value == 0) for bar, value in zip(bars, values, strict=True))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.9, "0s"), (-5, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (90_000, "1d")],
)
def test_ages_have_one_unit(seconds: float, shown: str) -> None:
    assert short(seconds) == shown


def test_times_of_documents() -> None:
    past, future = format_timestamp(NOW - timedelta(seconds=70)), format_timestamp(NOW + timedelta(hours=3))
    assert (since(past, NOW), since(None, NOW)) == ("1m", "")
    assert (until(future, NOW), until(past, NOW), until(None, NOW)) == ("3h", "over", "")


def test_the_head_of_a_live_pool() -> None:
    first, second = head_lines("p", Liveness("live"), STRIP, [1, 2, 4], NOW, 120)
    assert plain(first).startswith(" custody top p  LIVE 12,345  500 agents  served by host:1:1")
    assert plain(first).endswith("08:00:00Z")
    assert plain(second) == (
        " held 1,200  queued 34 +2 later  oldest 5m  empty in 2h  expired 3/h (1 false)  done 12.3/min ▂▄█"
    )


def test_the_head_says_over_what_is_counted_where_not_all_of_the_last_hour_is_known() -> None:
    changed = STRIP | {"last_hour_since": format_timestamp(NOW - timedelta(minutes=12))}
    assert "  expired 3/12m (1 false)  " in plain(head_lines("p", Liveness("live"), changed, [], NOW, 120)[1])


def test_the_bars_take_the_room_that_there_is() -> None:
    for width, bars in ((200, 60), (100, 5), (87, 0), (40, 0)):
        _, second = head_lines("p", Liveness("live"), STRIP, [1] * 90, NOW, width)
        assert plain(second).count("█") == bars, width
        assert cell_len(plain(second)) <= width


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"intake": "paused"}, "pool is paused"),
        ({"expiry_held": True}, "nothing expires now"),
        ({"served": False}, "NOT SERVED"),
        ({"agents": 1}, "1 agent "),
    ],
)
def test_what_the_head_says_of_an_odd_pool(changes: dict[str, Any], said: str) -> None:
    first, _ = head_lines("p", Liveness("live"), STRIP | changes, [], NOW, 120)
    assert said in plain(first)


@pytest.mark.parametrize(
    ("liveness", "said"),
    [
        (Liveness("live"), None),
        (Liveness("starting", why="connection refused"), " not live yet: connection refused"),
        (Liveness("behind", 1_500), " NOT LIVE: 1,500 events behind the log, catching up"),
        (Liveness("disconnected", 0, 61.4), " NOT LIVE: out of touch for 1m 1s, what is below is old"),
        (
            Liveness("disconnected", 0, None, "no\x1b broker"),
            " NOT LIVE: out of touch, what is below is old: no\\x1b broker",
        ),
    ],
)
def test_the_banner(liveness: Liveness, said: str | None) -> None:
    line = banner(liveness, 100)
    assert (None if line is None else plain(line)) == said
    assert line is None or cell_len("".join(cell.text for cell in line)) == 100
    first, _ = head_lines("p", liveness, STRIP, [], NOW, 120)
    assert ("served by" in plain(first)) == liveness.live


def test_a_huge_document_is_cut_and_says_so() -> None:
    page = {
        "task": {"task_id": "T1", "title": "", "question": None, "lease": None, "handoff": None, "outcome": None,
                 "payload": {"text": "x" * 100_000}},
        "explain": {"headline": "queued", "why": [], "next": [], "budgets": [], "candidates": []},
        "attempts": [], "handoffs": [], "events": [], "events_left_out": 3,
    }  # fmt: skip
    lines = [plain(line) for line in task_lines(page, NOW, 80)]
    assert sum(map(len, lines)) < 2 * MAX_DOCUMENT_CHARS
    size = len(json.dumps(page["task"]["payload"], indent=1))  # type: ignore[index]
    assert f"  … {size:,} characters; `custody query task` prints all" in lines
    assert lines[-1] == "and 3 before"
