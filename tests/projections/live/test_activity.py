"""What is counted of the last minutes, and which moment each count belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from domain.timestamps import after
from projections.live.activity import COUNTS, DAY_MINUTES, Activity
from tests.support.scenario import OPS, Scenario


def activity(s: Scenario, since: int = 0) -> Activity:
    found = Activity()
    found.observe(s.log[since:])
    return found


def hour(s: Scenario) -> dict[str, Any]:
    return activity(s).sums(s.now)


def counts(s: Scenario) -> dict[str, int]:
    return {name: number for name in COUNTS if (number := hour(s)[name]) and name != "events"}


def test_an_ordinary_task() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    s.wait(30).given("A", "claim")
    s.wait(10).given("A", "progress", task_id="T", token=s.token("T"), percent=50)
    s.wait(60).given("A", "complete", task_id="T", token=s.token("T"))
    assert counts(s) == {"submitted": 1, "granted": 1, "reports": 1, "completed": 1}
    found = hour(s)
    assert found["events"] == len(s.log)
    assert found["wait_p50_s"] == pytest.approx(30, rel=0.01)
    assert found["hold_p95_s"] == pytest.approx(70, rel=0.01)
    assert found["notice_p50_s"] is None


@pytest.mark.parametrize("end", ["release", "fail", "block", "complete"])
def test_a_hold_ends_with_its_lease_however_that_ends(end: str) -> None:
    s = Scenario()
    token = s.holds("A", "T")
    bodies: dict[str, dict[str, Any]] = {"fail": {"error": "no", "retryable": True}, "block": {"reason": "no key"}}
    s.wait(40).given("A", end, task_id="T", token=token, **bodies.get(end, {}))
    assert hour(s)["hold_p50_s"] == pytest.approx(40, rel=0.02)


@pytest.mark.parametrize("verb", ["revoke", "cancel"])
def test_an_operator_ends_a_hold_too(verb: str) -> None:
    s = Scenario()
    s.holds("A", "T")
    s.wait(40).given(OPS, verb, task_id="T")
    assert hour(s)["hold_p50_s"] == pytest.approx(40, rel=0.02)


def test_a_hold_that_began_before_the_fold_is_known_from_the_state() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    found = Activity()
    found.adopt(s.state)
    begin = len(s.log)
    s.wait(40).given("A", "complete", task_id="T", token=token)
    found.observe(s.log[begin:])
    assert found.sums(s.now)["hold_p50_s"] == pytest.approx(40, rel=0.02)


def test_a_delayed_task_waits_from_its_time_on() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", delay_s=600)
    s.at(700).given("A", "claim")
    assert hour(s)["wait_p50_s"] == pytest.approx(100, rel=0.01)


def test_a_task_whose_time_is_changed_waits_from_that_on() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    s.at(100).given(OPS, "update", task_id="T", delay_s=100)
    s.at(250).given("A", "claim")
    assert hour(s)["wait_p50_s"] == pytest.approx(50, rel=0.01)


def expired(s: Scenario) -> int:
    """Given: A's lease of T has expired; return its token."""
    token = s.holds("A", "T")
    s.sweep(1000)
    assert s.task("T").lease is None
    return token


def test_an_expiry_says_after_how_long_it_was_noticed() -> None:
    s = Scenario()
    expired(s)
    assert counts(s)["expired"] == 1
    assert hour(s)["notice_p50_s"] == pytest.approx(1000, rel=0.01)
    assert hour(s)["false_recoveries"] == 0


@pytest.mark.parametrize(
    ("verb", "body"),
    [("progress", {"percent": 5}), ("complete", {})],
    ids=["it reports late", "it completes late"],
)
def test_a_holder_that_comes_back_makes_its_expiry_a_false_recovery_once(verb: str, body: dict[str, Any]) -> None:
    s = Scenario()
    token = expired(s)
    for _ in range(2):
        s.wait(60).when("A", verb, task_id="T", token=token, **body)
    assert hour(s)["false_recoveries"] == 1


def test_a_late_report_of_what_was_revoked_is_no_false_recovery() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given(OPS, "revoke", task_id="T")
    s.wait(60).when("A", "progress", task_id="T", token=token, percent=5)
    assert hour(s)["false_recoveries"] == 0


def test_a_lease_that_expired_before_the_fold_began_is_known_from_the_state() -> None:
    s = Scenario()
    token = expired(s)
    found = Activity()
    found.adopt(s.state)
    begin = len(s.log)
    s.wait(60).when("A", "progress", task_id="T", token=token, percent=5)
    found.observe(s.log[begin:])
    assert found.total("false_recoveries", s.now) == 1


def test_steals_count_what_they_moved() -> None:
    s = Scenario()
    s.holds("A", "T1", "T2", "T3")
    s.given("B", "register", capacity=5)
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T2", "T3"])
    assert (counts(s)["steals"], counts(s)["stolen"]) == (1, 2)


def test_only_the_last_hour_counts_in_sums() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T1")
    s.at(3600).given(OPS, "submit", task_id="T2")
    assert hour(s)["submitted"] == 1
    assert activity(s).sums(s.now, 120)["submitted"] == 2


def test_nothing_is_kept_beyond_a_day() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T1")
    s.at(86_400).given(OPS, "submit", task_id="T2")
    assert activity(s).sums(s.now, 10 * DAY_MINUTES)["submitted"] == 1


def test_rates_are_over_what_is_known() -> None:
    s = Scenario()
    s.given("A", "register", capacity=100)
    for number in range(10):
        s.given(OPS, "submit", task_id=f"T{number}")
    s.given("A", "claim", max=4)
    s.wait(20)
    for task_id in s.state.held_by("A"):
        s.given("A", "complete", task_id=task_id, token=s.token(task_id))
    found = activity(s)
    assert found.per_minute("completed", s.now) == pytest.approx(12)
    assert found.queue_grows_per_s(s.now) == pytest.approx(6 / 20)
    assert Activity().per_minute("completed", s.now) == 0


def test_it_says_until_when_something_is_missing() -> None:
    s = Scenario()
    for task_id in ("T1", "T2"):
        s.given(OPS, "submit", task_id=task_id)
        s.wait(600)
    whole, rest = activity(s), activity(s, since=1)
    assert whole.incomplete_until(s.now) is None, "nothing was before the log's first event"
    assert rest.incomplete_until(s.now) == s.log[1].time
    assert rest.incomplete_until(s.now, 5) is None, "all of the last five minutes is known"
    known = Activity(known_since=s.log[0].time)
    known.observe(s.log[1:])
    assert known.incomplete_until(s.now) == s.log[0].time
    assert known.incomplete_until(after(s.now, 3600)) is None
    of_a_young_log = Activity(known_since=s.log[0].time)
    of_a_young_log.observe(s.log)
    assert of_a_young_log.incomplete_until(s.now, DAY_MINUTES) is None
    adopted, empty = Activity(), Activity()
    adopted.adopt(s.state)
    assert adopted.incomplete_until(s.now) == s.log[1].time, "only the state is known"
    assert empty.incomplete_until(s.now) is None


def test_the_series_has_a_column_a_name_and_a_row_a_minute() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T1")
    s.at(180).given(OPS, "submit", task_id="T2")
    s.given("A", "register")
    s.at(200).given("A", "claim")
    series = activity(s).series(s.now, len(s.state.indexes.backlog))
    assert {len(column) for column in series.values()} == {4}
    assert [later - earlier for earlier, later in zip(series["at"], series["at"][1:], strict=False)] == [60] * 3
    assert series["submitted"] == [1, 0, 0, 1]
    assert series["queued"] == [1, 1, 1, 1]
    assert series["wait_p50_s"][:3] == [None] * 3
    assert set(COUNTS) <= set(series)


def test_the_age_of_the_queue_is_that_of_the_task_that_waits_longest_at_each_minutes_end() -> None:
    s = Scenario()
    s.given("A", "register", capacity=5)
    s.given(OPS, "submit", task_id="T1")
    s.wait(60).given(OPS, "submit", task_id="T2")
    s.wait(180).given("A", "claim")
    s.wait(60).given("A", "claim")
    began = s.log[0].time.second
    ends = [60 * minute - began for minute in range(1, 6)]
    assert activity(s).series(s.now, 0)["oldest_wait_s"] == [
        pytest.approx(each, abs=0.01) for each in (*ends[:4], ends[4] - 60, 0.0)
    ]


def test_a_task_that_waits_for_its_time_does_not_age_the_queue() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T1", delay_s=90)
    s.wait(150)
    found = activity(s).series(s.now, 1)["oldest_wait_s"]
    assert found[0] == 0.0
    assert found[-1] == pytest.approx(60, abs=0.01)


def test_the_series_counts_the_queue_backwards_from_now() -> None:
    s = Scenario()
    for number in range(5):
        s.at(60 * number).given(OPS, "submit", task_id=f"T{number}")
    found = Activity()
    found.observe(s.log[2:])
    found.adopt(s.state)
    assert found.series(s.now, len(s.state.indexes.backlog))["queued"] == [3, 4, 5]


def test_an_empty_pool_has_a_series() -> None:
    assert Activity().series(Scenario().now, 0)["submitted"] == [0]
