"""The latest events in words, without those that come all the time."""

from __future__ import annotations

from projections.live.recent import KEPT, event_line
from tests.support.scenario import OPS
from tests.support.watched import Watched


def test_the_latest_come_first_and_reports_are_left_out() -> None:
    s = Watched()
    token = s.holds("A", "T")
    s.given("A", "start", task_id="T", token=token)
    s.wait(10).given("A", "progress", task_id="T", token=token, percent=5)
    kinds = [line["kind"] for line in s.look()["recent"]]
    assert kinds == ["task.leased", "task.submitted", "agent.registered"]
    s.wait(10).given("A", "progress", task_id="T", token=token, percent=6)
    assert "recent" not in s.look()


def test_so_many_are_kept() -> None:
    s = Watched()
    for number in range(KEPT + 10):
        s.given(OPS, "submit", task_id=f"T{number}")
    lines = s.look()["recent"]
    assert len(lines) == KEPT
    assert lines[0]["position"] == KEPT + 10


def test_a_line_says_who_and_what() -> None:
    s = Watched()
    token = s.holds("A", "T")
    s.given("A", "release", task_id="T", token=token, reason="<b>tired</b>")
    released = next(recorded for recorded in s.log if recorded.name == "released")
    assert event_line(released) == {
        "position": released.position,
        "at": "2026-11-21T08:00:00.000000Z",
        "kind": "task.released",
        "text": "given back: <b>tired</b>",
        "actor": "agent/A",
        "task_id": "T",
        "agent_id": "A",
    }
    by_ops = s.given(OPS, "pause").records[0]
    assert (event_line(by_ops)["task_id"], event_line(by_ops)["agent_id"]) == (None, None)
