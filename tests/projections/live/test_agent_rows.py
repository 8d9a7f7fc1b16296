"""Agents as rows: what a row says, which rows change, and when an agent counts as silent."""

from __future__ import annotations

import pytest

from domain.commands.service_commands import MarkLost, Rearm
from domain.timestamps import after, format_timestamp
from projections.live.history import History
from tests.support.scenario import OPS
from tests.support.watched import Watched


def changed(s: Watched) -> dict[str, object]:
    found: dict[str, object] = s.look().get("agents", {"set": {}})["set"]
    return found


def test_a_row_says_what_an_agent_is_at() -> None:
    s = Watched()
    s.given("A", "register", capacity=3, capabilities=["web", "gpu"], session="s1", labels=["eu"])
    s.given(OPS, "submit", task_id="T1", title="First")
    s.given(OPS, "submit", task_id="T2", title="Second")
    s.given("A", "claim", max=2)
    s.at(10).given("A", "progress", task_id="T2", token=s.token("T2"), percent=30, message="half a page")
    s.at(100).given("A", "heartbeat", load={"cpu": 55.0, "memory": 20.0})
    row = s.row("A")
    said = {"slots": 3, "held": 2, "task_id": "T2", "task": "Second", "percent": 30, "words": "half a page"}
    assert row | said | {"session": "s1", "tone": "ok"} == row
    assert [hold["task_id"] for hold in row["holds"]] == ["T1", "T2"]
    assert row["capabilities"] == ["gpu", "web"]
    assert row["load"] == {"cpu": 55.0, "memory": 20.0}
    assert row["heard_at"] == format_timestamp(s.now)


def test_only_rows_that_changed_are_told() -> None:
    s = Watched()
    s.holds("A", "T1")
    s.holds("B", "T2")
    assert set(changed(s)) == {"A", "B"}
    assert changed(s) == {}
    s.wait(1).given("B", "progress", task_id="T2", token=s.token("T2"), percent=5)
    assert set(changed(s)) == {"B"}
    s.given(OPS, "cancel", task_id="T1")
    assert set(changed(s)) == {"A"}


def test_a_steal_changes_both_rows() -> None:
    s = Watched()
    s.holds("A", "T1", "T2")
    s.given("B", "register", capacity=5)
    s.look()
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T2"])
    assert set(changed(s)) == {"A", "B"}
    assert (s.row("A")["held"], s.row("B")["held"]) == (1, 1)


def test_an_agent_that_left_is_gone() -> None:
    s = Watched()
    s.given("A", "register")
    s.look()
    s.given("A", "deregister")
    assert s.look()["agents"] == {"set": {}, "gone": ["A"]}
    assert s.shown()["agents"] == {}


def test_a_holder_is_silent_when_its_lease_is_past_its_expiry() -> None:
    s = Watched()
    s.holds("A", "T")
    expires_at = s.lease("T").expires_at
    assert s.row("A")["silent_from"] == format_timestamp(expires_at)
    s.at(s.seconds_until(expires_at) - 1)
    assert changed(s) == {}
    s.wait(1)
    assert s.row("A")["tone"] == "silent"
    s.given("A", "progress", task_id="T", token=s.token("T"), percent=5)
    assert s.row("A")["tone"] == "ok"


def test_no_holder_is_silent_before_the_floor_that_an_outage_set() -> None:
    s = Watched()
    s.holds("A", "T")
    s.at(170)
    s.asks(Rearm("outage", 300.0))
    floor = s.state.pool.floor(s.token("T"))
    assert floor is not None
    assert floor > after(s.now, 100)
    s.wait(100)
    assert s.row("A")["tone"] == "ok"


def test_an_agent_whose_lease_expired_is_silent_until_it_is_heard() -> None:
    s = Watched()
    s.holds("A", "T")
    s.sweep(1000)
    assert (s.row("A")["tone"], s.row("A")["held"]) == ("silent", 0)
    late = Watched()
    late.state, late.last_heard, late.now = s.state, s.last_heard, s.now
    late.view.reset(s.state)
    assert late.row("A")["tone"] == "silent"
    s.given("A", "heartbeat")
    assert s.row("A")["tone"] == "ok"


def test_a_view_that_begins_later_knows_who_is_silent_though_others_took_the_work() -> None:
    s = Watched()
    s.holds("A", "T")
    s.sweep(1000)
    s.holds("B", "T")
    assert (s.row("A")["tone"], s.row("B")["tone"]) == ("silent", "ok")
    late = Watched()
    late.state, late.last_heard, late.now = s.state, s.last_heard, s.now
    late.view.reset(s.state)
    history = History()
    history.observe(s.log)
    late.view.replace_history(s.state, history)
    assert (late.row("A")["tone"], late.row("B")["tone"]) == ("silent", "ok")


def test_an_agent_that_was_heard_since_its_lease_expired_is_not_silent_to_a_view_that_begins_later() -> None:
    s = Watched()
    s.holds("A", "T")
    s.sweep(1000)
    s.wait(5).given("A", "heartbeat")
    assert s.row("A")["tone"] == "ok"
    late = Watched()
    late.state, late.last_heard, late.now = s.state, s.last_heard, s.now
    late.view.reset(s.state)
    assert late.row("A")["tone"] == "ok"


def test_a_stuck_holder_is_silent() -> None:
    s = Watched()
    token = s.holds("A", "T", on_silence="stuck", lease={"mode": "fixed", "lease_s": 5000.0})
    s.given("A", "progress", task_id="T", token=token, percent=5)
    s.sweep(601)
    assert s.row("A")["tone"] == "silent"


def test_a_stalled_and_a_lost_agent() -> None:
    s = Watched()
    token = s.holds("A", "T", stall_s=100)
    s.given("A", "start", task_id="T", token=token)
    for each in range(1, 5):
        s.at(40 * each).given("A", "heartbeat")
    s.sweep()
    assert s.row("A")["tone"] == "stalled"
    s.wait(1000).asks(MarkLost("A", 1000.0))
    assert s.row("A")["tone"] == "lost"


def test_an_idle_agent_is_silent_only_if_it_is_known_when_it_was_heard() -> None:
    s = Watched()
    s.given("A", "register")
    s.wait(10_000)
    assert (s.row("A")["tone"], s.row("A")["silent_from"]) == ("ok", None)
    s.heard_beside_the_log(("A", after(s.now, -5)))
    assert s.row("A")["tone"] == "ok"
    assert s.row("A")["heard_at"] == format_timestamp(after(s.now, -5))
    s.wait(s.rules.lost_after_s / 2)
    assert s.row("A")["tone"] == "silent"
    s.heard_beside_the_log(("A", s.now))
    assert s.row("A")["tone"] == "ok"


def test_what_is_heard_beside_the_log_never_goes_back() -> None:
    s = Watched()
    s.given("A", "register")
    s.at(100).given("A", "heartbeat", load={"cpu": 5.0})
    s.heard_beside_the_log(("A", after(s.now, -50)))
    assert s.row("A")["heard_at"] == format_timestamp(s.now)


def test_a_load_that_is_too_old_counts_no_more() -> None:
    s = Watched()
    s.given("A", "register")
    s.given("A", "heartbeat", load={"cpu": 99.0})
    assert s.row("A")["load_status"] == "overloaded"
    s.wait(s.rules.load_valid_s + 1)
    assert s.row("A")["load_status"] == "underloaded"


@pytest.mark.parametrize("verb", ["pause", "drain"])
def test_intake_is_shown(verb: str) -> None:
    s = Watched()
    s.given("A", "register")
    s.look()
    s.given(OPS, verb, agent_id="A")
    assert s.row("A")["intake"] == ("paused" if verb == "pause" else "draining")
