"""What needs a person, since when, and until when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain.commands.service_commands import MarkLost
from projections.live import attention
from projections.live.attention import ACTIONS, DOWN_AFTER_S, KINDS, MAX_NAMED, Attention, Need
from projections.live.service_health import ServiceHealth
from projections.postmortem.observed_events import FLOOD_BURST
from tests.support.scenario import OPS, START
from tests.support.watched import Watched, keys


def at(seconds: float) -> object:
    return START + timedelta(seconds=seconds)


def only(s: Watched) -> Need:
    (need,) = s.needs()
    return need


def quarantined(s: Watched) -> None:
    token = s.holds("A", "T", title="Sort it", budgets={"attempts": 1})
    s.wait(10).given("A", "fail", task_id="T", token=token, error="disk full", retryable=True)


def blocked(s: Watched) -> None:
    token = s.holds("A", "T")
    s.wait(10).given("A", "block", task_id="T", token=token, reason="no key", question="Which key?")


def stuck(s: Watched) -> None:
    token = s.holds("A", "T", on_silence="stuck")
    s.wait(10).given("A", "progress", task_id="T", token=token, percent=5)
    s.sweep(2000)


def stalled(s: Watched) -> None:
    token = s.holds("A", "T", stall_s=100)
    s.given("A", "start", task_id="T", token=token)
    for each in range(1, 5):
        s.at(40 * each).given("A", "heartbeat")
    s.sweep()


GIVEN: dict[str, Callable[[Watched], None]] = {
    "quarantined": quarantined, "blocked": blocked, "stuck": stuck, "stalled": stalled,
}  # fmt: skip


@pytest.mark.parametrize("kind", GIVEN)
def test_a_task_that_no_agent_brings_on(kind: str) -> None:
    s = Watched()
    GIVEN[kind](s)
    need = only(s)
    assert (need.kind, need.key, need.task_id, need.actions) == (kind, f"{kind}:T", "T", ACTIONS[kind])
    assert need.detail
    s.given(OPS, "cancel", task_id="T")
    assert s.needs() == []


def test_a_blocked_task_says_its_question() -> None:
    s = Watched()
    blocked(s)
    need = only(s)
    assert (need.title, need.detail, need.question, need.since) == ("T", "no key", "Which key?", at(10))
    s.given(OPS, "unblock", task_id="T", answer="the red one")
    assert s.needs() == []


def test_a_quarantined_task_says_why() -> None:
    s = Watched()
    quarantined(s)
    need = only(s)
    assert (need.title, need.since, need.agent_id) == ("Sort it", at(10), None)
    assert "disk full" in need.detail


def test_a_stalled_task_needs_nobody_once_it_advances() -> None:
    s = Watched()
    stalled(s)
    assert only(s).agent_id == "A"
    s.given("A", "progress", task_id="T", token=s.token("T"), percent=50)
    assert s.needs() == []


def test_a_deadline_needs_a_person_from_ten_minutes_before_it() -> None:
    s = Watched()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", deadline_s=1000)
    s.at(399)
    assert s.needs() == []
    s.at(400)
    need = only(s)
    assert (need.key, need.since, need.detail) == ("deadline:T", at(1000), "queued")
    s.given("A", "claim")
    assert only(s).detail == "assigned with A"
    s.given("A", "complete", task_id="T", token=s.token("T"))
    assert s.needs() == []


@pytest.mark.parametrize("change", [{"deadline_s": 5000}, {"no_deadline": True}])
def test_a_deadline_that_is_put_off_needs_nobody(change: dict[str, object]) -> None:
    s = Watched()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", deadline_s=300)
    assert keys(s.needs()) == ["deadline:T"]
    s.given(OPS, "update", task_id="T", **change)
    assert s.needs() == []


def lost(s: Watched, agent_id: str = "A") -> None:
    s.asks(MarkLost(agent_id, 1000.0))


def test_a_lost_agent_is_named_with_what_it_holds() -> None:
    s = Watched()
    s.holds("A", "T1", "T2")
    s.wait(1000)
    lost(s)
    need = only(s)
    assert (need.key, need.agent_id, need.task_ids, need.detail) == (
        "lost_agent:A", "A", ("T1", "T2"), "still holds 2 tasks",
    )  # fmt: skip
    assert need.actions == ("revoke",)


def test_a_lost_agent_is_named_with_what_it_lost_until_that_is_taken() -> None:
    s = Watched()
    s.holds("A", "T")
    s.sweep(1000)
    assert s.needs() == []
    lost(s)
    need = next(each for each in s.needs() if each.kind == "lost_agent")
    assert (need.task_ids, need.detail, need.actions) == (("T",), "1 task of it waits for another", ())
    s.given("B", "register")
    s.given("B", "claim")
    assert s.needs() == []


def test_a_lost_agent_that_had_nothing_needs_nobody() -> None:
    s = Watched()
    s.given("A", "register")
    s.wait(1000)
    lost(s)
    assert s.needs() == []


def test_a_lost_agent_that_is_heard_again_needs_nobody() -> None:
    s = Watched()
    s.holds("A", "T")
    s.wait(1000)
    lost(s)
    s.given("A", "heartbeat")
    assert s.needs() == []


def test_work_that_no_live_agent_can_do_is_one_need_a_kind() -> None:
    s = Watched()
    s.given("A", "register", capabilities=["web"])
    for number in range(3):
        s.given(OPS, "submit", task_id=f"T{number}", required_capabilities=["gpu", "web"])
    s.given(OPS, "submit", task_id="W", required_capabilities=["web"])
    need = only(s)
    assert (need.key, need.title, need.detail) == (
        "unworkable:gpu, web", "3 tasks need gpu, web", "no live agent has all of it",
    )  # fmt: skip
    assert (need.task_id, need.task_ids) == (None, ("T0",))
    s.given("B", "register", capabilities=["gpu", "web"])
    assert s.needs() == []


def test_an_agent_that_is_paused_can_do_the_work() -> None:
    s = Watched()
    s.given("A", "register", capabilities=["gpu"])
    s.given(OPS, "pause", agent_id="A")
    s.given(OPS, "submit", task_id="T", required_capabilities=["gpu"])
    assert s.needs() == []


def test_without_a_live_agent_all_work_needs_one() -> None:
    s = Watched()
    s.given(OPS, "submit", task_id="T")
    need = only(s)
    assert (need.key, need.title, need.detail, need.task_id) == (
        "unworkable:", "1 task needs an agent", "no agent is live", "T",
    )  # fmt: skip


def test_a_delayed_task_needs_no_agent_yet() -> None:
    s = Watched()
    s.given(OPS, "submit", task_id="T", delay_s=100)
    assert s.needs() == []
    s.wait(101)
    assert keys(s.needs()) == ["unworkable:"]


def test_a_service_that_does_not_answer_comes_first() -> None:
    s = Watched()
    blocked(s)
    s.health = ServiceHealth().answered(s.now, {"leader": "host:1:2"}).failed(s.now, "no answer")
    assert keys(s.needs()) == ["blocked:T"]
    s.wait(DOWN_AFTER_S)
    s.health = s.health.failed(s.now, "no answer still")
    first, second = s.needs()
    assert (first.key, first.detail, second.key) == ("writer_down", "no answer still", "blocked:T")
    s.health = s.health.answered(s.now, {"leader": "host:2:3"})
    assert keys(s.needs()) == ["blocked:T"]


def test_a_flood_is_named_while_it_lasts() -> None:
    s = Watched()
    for _ in range(FLOOD_BURST):
        s.given("A", "register", session="s")
        s.given("A", "deregister")
    floods = [need for need in s.needs() if need.kind == "flood"]
    assert [(need.agent_id, need.actions) for need in floods] == [("A", ("pause",))] * 2
    s.wait(61)
    assert s.needs() == []


def test_the_worst_kind_comes_first_and_of_one_kind_the_oldest() -> None:
    s = Watched()
    for number in range(3):
        s.wait(10).given(OPS, "submit", task_id=f"T{number}")
        s.given(OPS, "block", task_id=f"T{number}", reason="wait")
    s.given("A", "register")
    quarantined(s)
    s.given(OPS, "submit", task_id="D", deadline_s=100)
    assert keys(s.needs()) == ["blocked:T0", "blocked:T1", "blocked:T2", "quarantined:T", "deadline:D"]
    assert set(ACTIONS) == set(KINDS)


def test_no_more_are_listed_than_a_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MAX_NEEDS", 5)
    s = Watched()
    for number in range(8):
        s.given(OPS, "submit", task_id=f"T{number}")
        s.given(OPS, "block", task_id=f"T{number}", reason="wait")
    shown = s.shown()["needs"]
    assert (len(shown["items"]), shown["more"]) == (5, 3)


def test_a_lost_agent_names_some_of_many_tasks() -> None:
    s = Watched()
    s.holds("A", *(f"T{number:02}" for number in range(MAX_NAMED + 5)))
    s.wait(1000)
    lost(s)
    assert len(only(s).task_ids) == MAX_NAMED


@pytest.mark.parametrize("kind", GIVEN)
def test_a_fold_that_begins_with_a_state_finds_the_same(kind: str) -> None:
    s = Watched()
    GIVEN[kind](s)
    s.given(OPS, "submit", task_id="D", deadline_s=100, required_capabilities=["gpu"])
    late = Attention()
    late.fill(s.state)
    assert late.needs(s.state, s.now).items == s.needs()


def test_a_need_is_json() -> None:
    s = Watched()
    blocked(s)
    (item,) = s.look()["needs"]["items"]
    assert item["since"] == "2026-11-21T08:00:10.000000Z"
    assert item["question"] == "Which key?"


def test_needs_that_stay_are_told_once() -> None:
    s = Watched()
    blocked(s)
    assert "needs" in s.look()
    s.wait(100)
    assert "needs" not in s.look()
