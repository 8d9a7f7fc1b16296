"""What happened since a moment, in at most ten lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.commands.service_commands import FillTail, Lead, MarkLost, Rearm
from projections.live.morning import MAX_LINES, Morning, report
from tests.support.scenario import OPS, START, Scenario


def lines(s: Scenario, since: int = 0) -> list[dict[str, Any]]:
    morning = Morning()
    morning.observe(s.log[since:])
    shown: list[dict[str, Any]] = report(morning.lines(s.state, s.now), START)["lines"]
    return shown


def texts(s: Scenario) -> list[str]:
    return [line["text"] for line in lines(s)]


def failed(s: Scenario) -> None:
    s.given("A", "fail", task_id="T", token=s.holds("A", "T"), error="no", retryable=False)


def quarantined(s: Scenario) -> None:
    token = s.holds("A", "T", budgets={"attempts": 1})
    s.given("A", "fail", task_id="T", token=token, error="no", retryable=True)


def blocked(s: Scenario) -> None:
    s.given("A", "block", task_id="T", token=s.holds("A", "T"), reason="no key")


def deadline(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T", deadline_s=100)
    s.sweep(200)


def lost(s: Scenario) -> None:
    s.given("A", "register")
    s.wait(1000).asks(MarkLost("A", 1000.0))


def deaf(s: Scenario) -> None:
    s.holds("A", "T")
    s.asks(Rearm("outage", 90.0))


def expired(s: Scenario) -> None:
    token = s.holds("A", "T")
    s.sweep(1000)
    s.given("A", "heartbeat")
    s.when("A", "progress", task_id="T", token=token, percent=5)


def stolen(s: Scenario) -> None:
    s.holds("A", "T1", "T")
    s.given("B", "register", capacity=5)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T"])


def tail_lost(s: Scenario) -> None:
    s.asks(FillTail(s.state.position + 1, s.state.position + 3), actor="writer")


def led_twice(s: Scenario) -> None:
    s.asks(Lead("host:1:1"), actor="writer")
    s.asks(Lead("host:2:2"), actor="writer")


POSTMORTEM = {"kind": "postmortem", "task_id": "T"}
CASES: list[tuple[Callable[[Scenario], None], str, int, dict[str, str]]] = [
    (failed, "1 task failed for good: T", 1, POSTMORTEM),
    (quarantined, "1 task quarantined, and waiting for a person: T", 1, POSTMORTEM),
    (blocked, "1 task blocked, and waiting for an answer: T", 1, POSTMORTEM),
    (deadline, "1 deadline missed: T", 1, POSTMORTEM),
    (lost, "1 agent lost: A", 1, {"kind": "agent", "agent_id": "A"}),
    (
        deaf,
        "the pool could not hear its agents 1 time, for 1m 30s in all; no lease was judged meanwhile",
        1,
        {"kind": "statistics"},
    ),
    (
        expired,
        "1 lease expired, noticed after 16m 40s by the median; 1 holder of these came back later: T",
        1,
        POSTMORTEM,
    ),
    (stolen, "1 task moved by 1 steal", 1, {"kind": "steals"}),
    (tail_lost, "the log lost its tail, and an operator accepted that", 3, {"kind": "statistics"}),
    (led_twice, "2 services led the pool, one after the other", 2, {"kind": "statistics"}),
]


@pytest.mark.parametrize(("given", "text", "number", "link"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_line(given: Callable[[Scenario], None], text: str, number: int, link: dict[str, str]) -> None:
    s = Scenario()
    given(s)
    assert {"text": text, "count": number, "link": link} in lines(s)


def test_the_day_s_work() -> None:
    s = Scenario()
    s.given("A", "register", capacity=10)
    for number in range(4):
        s.given(OPS, "submit", task_id=f"T{number}")
    s.wait(60).given("A", "claim", max=3)
    for number in range(2):
        s.given("A", "complete", task_id=f"T{number}", token=s.token(f"T{number}"))
    s.given("ops/ann", "cancel", task_id="T3")
    assert texts(s) == [
        "2 tasks completed, 4 submitted; they waited 1m by the median",
        "5 commands of operators: 4 × submit, 1 × cancel",
    ]


def test_what_is_over_by_now_does_not_wait_for_a_person() -> None:
    s = Scenario()
    blocked(s)
    s.given(OPS, "unblock", task_id="T")
    assert not any("blocked" in text for text in texts(s))


def test_a_quiet_night_has_no_lines() -> None:
    s = Scenario()
    blocked(s)
    assert lines(s, since=len(s.log)) == []


def test_many_are_counted_and_some_are_named() -> None:
    s = Scenario()
    for number in range(8):
        task_id = f"T{number}"
        s.given("A", "fail", task_id=task_id, token=s.holds("A", task_id), error="no", retryable=False)
    assert texts(s)[0] == "8 tasks failed for good: T3, T4, T5, T6, T7 and 3 more"


def test_never_more_than_ten() -> None:
    s = Scenario()
    for given in (led_twice, failed, lost):
        given(s)
    s.given("A", "register", capacity=10)
    for task_id, prepare in (("Q", {"budgets": {"attempts": 1}}), ("E", {}), ("D", {"deadline_s": 10})):
        s.holds("A", task_id, **prepare)
    s.given("A", "fail", task_id="Q", token=s.token("Q"), error="no", retryable=True)
    s.sweep(3000)
    s.given("A", "block", task_id="B", token=s.holds("A", "B"), reason="wait")
    s.asks(Rearm("outage", 90.0))
    s.holds("A", "M1", "M2")
    s.given("B", "register", capacity=5)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["M2"])
    tail_lost(s)
    assert len(lines(s)) == MAX_LINES
    assert texts(s)[0].startswith("the log lost its tail")
