"""Tasks as rows: which are chosen, in what order, and what a waiting one waits for."""

from __future__ import annotations

from typing import Any

import pytest

from domain.timestamps import format_timestamp
from projections.live.task_rows import SORTS, TaskFilter, chosen_tasks, task_row, waiting_because
from projections.queries.documents import task_summary
from tests.support.scenario import OPS, Scenario


def pool() -> Scenario:
    s = Scenario()
    s.given("alice", "register", capacity=2, capabilities=["web"])
    s.given(OPS, "submit", task_id="T1", title="Paint the FENCE", labels=["home"], priority="low")
    s.wait(10).given(OPS, "submit", task_id="T2", title="Mow", labels=["home", "loud"], deadline_s=5000)
    s.wait(10).given(OPS, "submit", task_id="T3", required_capabilities=["web"], priority="critical")
    s.given(OPS, "assign", task_id="T3", agent_id="alice")
    s.wait(10).given(OPS, "submit", task_id="T4")
    s.given(OPS, "cancel", task_id="T4")
    return s


def ids(s: Scenario, **wanted: Any) -> list[str]:
    return [task.task_id for task in chosen_tasks(s.state, TaskFilter(**wanted))]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["T1", "T2", "T3", "T4"]),
        ({"status": "live"}, ["T1", "T2", "T3"]),
        ({"status": "ended"}, ["T4"]),
        ({"status": "queued"}, ["T1", "T2"]),
        ({"status": "cancelled"}, ["T4"]),
        ({"label": "home"}, ["T1", "T2"]),
        ({"label": "hom"}, []),
        ({"agent_id": "alice"}, ["T3"]),
        ({"q": "fence"}, ["T1"]),
        ({"q": "HOME loud"}, ["T2"]),
        ({"q": "web"}, ["T3"]),
        ({"q": "ALI"}, ["T3"]),
        ({"q": "<script>"}, []),
        ({"q": "home", "status": "assigned"}, []),
    ],
)
def test_chosen(wanted: dict[str, Any], found: list[str]) -> None:
    assert ids(pool(), **wanted) == found


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("task_id", ["T1", "T2", "T3"]),
        ("title", ["T2", "T1", "T3"]),
        ("priority", ["T1", "T2", "T3"]),
        ("submitted_at", ["T1", "T2", "T3"]),
        ("agent_id", ["T3", "T1", "T2"]),
        ("deadline", ["T2", "T1", "T3"]),
        ("status", ["T3", "T1", "T2"]),
    ],
)
def test_sorted_with_those_that_have_no_value_last(sort: str, found: list[str]) -> None:
    assert ids(pool(), status="live", sort=sort) == found


def test_the_other_way_round_those_without_a_value_are_still_last() -> None:
    assert ids(pool(), status="live", sort="deadline", desc=True) == ["T2", "T1", "T3"]
    assert ids(pool(), status="live", sort="task_id", desc=True) == ["T3", "T2", "T1"]


def test_ids_are_sorted_by_what_their_numbers_are() -> None:
    s = Scenario()
    for task_id in ("T10", "T2", "T1", "a-3-b-20", "a-3-b-4", "9" * 40):
        s.given(OPS, "submit", task_id=task_id)
    assert ids(s, status="live") == ["9" * 40, "T1", "T2", "T10", "a-3-b-4", "a-3-b-20"]
    assert ids(s, status="queued", sort="status")[-2:] == ["a-3-b-4", "a-3-b-20"], "also those of equal value"


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("desc", [False, True])
def test_every_order_has_every_task(sort: str, *, desc: bool) -> None:
    assert sorted(ids(pool(), sort=sort, desc=desc)) == ["T1", "T2", "T3", "T4"]


@pytest.mark.parametrize("wanted", [{"sort": "shoe_size"}, {"status": "asleep"}])
def test_what_there_is_not_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wanted.values()))):
        ids(pool(), **wanted)


def test_a_row_of_a_held_task() -> None:
    s = pool()
    s.wait(5).given("alice", "progress", task_id="T3", token=s.token("T3"), percent=40, message="two of five")
    row = task_row(s.task("T3"), s.state, s.now)
    assert row | task_summary(s.task("T3")) == row
    lease = s.lease("T3")
    assert (row["heard_at"], row["expires_at"], row["words"], row["waiting_because"]) == (
        format_timestamp(s.now), format_timestamp(lease.expires_at), "two of five", None,
    )  # fmt: skip


def because(s: Scenario, task_id: str = "T") -> str | None:
    return waiting_because(s.task(task_id), s.state, s.now)


def queued(**definition: Any) -> Scenario:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", **definition)
    return s


def test_without_an_agent() -> None:
    assert because(queued()) == "no agent is live"


def test_without_an_agent_that_can() -> None:
    s = queued(required_capabilities=["gpu", "web"])
    s.given("A", "register", capabilities=["web"])
    assert because(s) == "no live agent has gpu"
    s.given("B", "register", capabilities=["gpu"])
    assert because(s) == "no live agent has gpu, web"


def test_with_an_agent_that_is_full_paused_or_free() -> None:
    s = queued()
    s.holds("A", "other", capacity=1)
    assert because(s) == "every agent that can do it is full"
    s.given(OPS, "pause", agent_id="A")
    assert because(s) == "every agent that can do it takes no work now"
    s.given("B", "register")
    assert because(s) == "an agent with room has not claimed it yet"


def test_delayed_and_in_a_pool_that_is_closed() -> None:
    s = queued(delay_s=60)
    assert because(s) == "not before 2026-11-21 08:01:00Z"
    s.given(OPS, "pause")
    assert because(s) == "the pool is paused"


def test_after_a_failure_others_are_preferred() -> None:
    s = Scenario()
    token = s.holds("A", "T", retry={"delay_s": 10.0})
    s.given("B", "register")
    s.given("A", "fail", task_id="T", token=token, error="no", retryable=True)
    not_before = s.task("T").not_before
    assert not_before is not None
    s.at(s.seconds_until(not_before) + 1)
    assert because(s) == "others than A are preferred"


def test_set_aside() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    assert because(s) == "A has not started it"
    s.given("A", "block", task_id="T", token=token, reason="no key")
    assert because(s) == "no key"
    s.holds("A", "Q", budgets={"attempts": 1})
    s.given("A", "fail", task_id="Q", token=s.token("Q"), error="disk full", retryable=True)
    assert because(s, "Q") == "disk full"


def test_a_stuck_task_waits_for_its_holder() -> None:
    s = Scenario()
    token = s.holds("A", "T", on_silence="stuck")
    s.given("A", "progress", task_id="T", token=token, percent=5)
    s.sweep(2000)
    assert because(s) == "A is silent"


def test_an_ended_task_waits_for_nothing() -> None:
    assert because(pool(), "T4") is None
