"""What happened since a moment, in at most ten lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.commands.service_commands import FillTail, Lead, MarkLost, Rearm
from domain.timestamps import after, format_timestamp
from projections.live.morning import LEFT_OUT, MAX_LINES, Morning, report
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


def unable(s: Scenario) -> None:
    s.given("A", "register", capabilities=["gpu-a100"])
    s.given(OPS, "submit", task_id="T", required_capabilities=["gpu-h100"])


def unable_in_two_ways(s: Scenario) -> None:
    s.given("A", "register", capabilities=["big"])
    for task_id, required in (("T1", ["gpu"]), ("T2", ["gpu"]), ("T3", ["tpu"]), ("T4", ["big"])):
        s.given(OPS, "submit", task_id=task_id, required_capabilities=required)


def none_live(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="T")


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
    (lost, "1 agent lost: A", 1, {"kind": "postmortem", "agent_id": "A"}),
    (unable, "1 task waits for gpu-h100, which no live agent has", 1, {"kind": "needs"}),
    (
        unable_in_two_ways,
        "3 tasks wait for what no live agent is able to do: gpu (2), tpu (1)",
        3,
        {"kind": "needs"},
    ),
    (none_live, "1 task waits, and no agent is live", 1, {"kind": "needs"}),
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
    (line,) = (each for each in lines(s) if each["text"] == text)
    assert (line["count"], line["link"]) == (number, link)
    assert format_timestamp(START) <= line["first_at"] <= line["last_at"] <= format_timestamp(s.now)


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


def test_each_line_says_when_it_happened_first_and_last() -> None:
    s = Scenario()
    s.given("A", "register", capacity=10, capabilities=["web"])
    for number in range(3):
        s.wait(60).given(
            "A", "fail", task_id=f"F{number}", token=s.holds("A", f"F{number}"), error="no", retryable=False
        )
    blocked(s)
    since = s.now
    s.wait(3600).given(OPS, "submit", task_id="G", required_capabilities=["gpu"])
    s.wait(3600)
    when = {line["text"].split(":")[0]: (line["first_at"], line["last_at"]) for line in lines(s)}
    at = {name: format_timestamp(after(START, seconds)) for name, seconds in (("first", 60), ("last", 180))}
    assert when["3 tasks failed for good"] == (at["first"], at["last"])
    assert when["1 task blocked, and waiting for an answer"] == 2 * (format_timestamp(since),)
    assert when["1 task waits for gpu, which no live agent has"] == 2 * (format_timestamp(after(since, 3600)),)


def test_what_waits_for_an_agent_that_there_is_not_is_said_however_long_ago_it_was_submitted() -> None:
    s = Scenario()
    unable(s)
    s.wait(3600)
    assert [line["text"] for line in lines(s, since=len(s.log))] == [
        "1 task waits for gpu-h100, which no live agent has"
    ]
    s.given("B", "register", capabilities=["gpu-h100"])
    assert lines(s, since=len(s.log)) == []


def test_a_task_whose_time_has_not_come_does_not_wait_for_an_agent() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", required_capabilities=["gpu"], delay_s=60)
    assert not any("wait" in text for text in texts(s))
    before = s.now
    s.wait(61)
    assert any("1 task waits for gpu" in text for text in texts(s))
    morning = Morning()
    morning.observe(s.log)
    assert not any("wait" in line.text for line in morning.lines(s.state, before)), "asked for an earlier moment again"


def test_the_report_is_the_same_without_the_events_that_it_leaves_out() -> None:
    s = Scenario()
    for given in (expired, stolen, lost):
        given(s)
    whole, part = Morning(), Morning()
    whole.observe(s.log)
    left = [recorded for recorded in s.log if recorded.name not in LEFT_OUT]
    part.observe(left)
    assert len(left) < len(s.log)
    assert part.lines(s.state, s.now) == whole.lines(s.state, s.now)


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
