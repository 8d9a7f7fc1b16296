"""How a lease lives on: reports, signs of life, silences, and what nothing can move."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import task as ev
from domain.rules import Rules
from tests.support.contract import LEASE_FIELDS
from tests.support.scenario import OPS, Scenario

HOUR = {"mode": "fixed", "lease_s": 3600.0, "grace_s": 10.0}


def expires(s: Scenario, task_id: str = "T") -> float:
    return s.seconds_until(s.lease(task_id).expires_at)


def report(s: Scenario, at: float, percent: int = 10, **body: Any) -> None:
    s.at(at).given("A", "progress", task_id="T", token=s.token("T"), percent=percent, **body)


@pytest.mark.parametrize(
    ("percents", "term_s", "grace_s"),
    [
        ([], 180, 60),
        ([0], 240, 60),
        ([90], 240, 60),
        ([0, 24], 240, 60),
        ([0, 25], 300, 60),
        ([0, 74], 300, 60),
        ([0, 75], 360, 90),
        ([0, 100, 10], 240, 60),
    ],
    ids=str,
)
def test_adaptive_terms_follow_the_reports(percents: list[int], term_s: float, grace_s: float) -> None:
    s = Scenario()
    s.holds("A", "T")
    for number, percent in enumerate(percents, start=1):
        report(s, 200 * number, percent)

    lease = s.lease("T")
    assert (expires(s) - 200 * len(percents), lease.grace_s) == (term_s, grace_s)


def test_a_report_answers_with_its_terms() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    step = s.when("A", "progress", task_id="T", token=token, percent=3, message="hm", checkpoint={"line": 4}, at=60)

    step.then("progressed")
    assert step.result == {"expires_at": "2026-11-21T08:05:00.000000Z", "grace_s": 60.0, "directive": "continue"}
    event = step.event(ev.Progressed)
    assert (event.token, event.percent, event.message, event.checkpoint, event.reports) == (
        token,
        3,
        "hm",
        {"line": 4},
        1,
    )


def test_every_report_is_written_also_when_it_changes_nothing() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", "progress", task_id="T", token=token, percent=3)
    s.when("A", "progress", task_id="T", token=token, percent=3).then("progressed")


def test_progress_may_fall() -> None:
    s = Scenario()
    s.holds("A", "T")
    report(s, 1, 50)
    report(s, 2, 20)
    assert s.lease("T").percent == 20


@pytest.mark.parametrize(
    ("at", "events"),
    [(17.999999, []), (18, ["renewed"]), (100, ["renewed"])],
    ids=["just less than a tenth of the term", "a tenth", "more"],
)
def test_a_sign_of_life_is_written_if_it_moves_the_expiry_by_a_tenth(at: float, events: list[str]) -> None:
    s = Scenario()
    s.holds("A", "T")

    s.when("A", "heartbeat", at=at).then(*(["heartbeat"] if at >= 60 else []), *events)
    assert expires(s) == (180 + at if events else 180)
    s.when("A", "heartbeat").then()


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("heartbeat", {}),
        ("register", {"capacity": 9}),
        ("claim", {}),
        ("lease", {"task_id": "T"}),
        ("start", {"task_id": "T"}),
        ("silence", {"task_id": "T", "for_s": 5.0, "reason": "x"}),
        ("release", {"task_id": "T"}),
        ("block", {"task_id": "T", "reason": "x"}),
        ("complete", {"task_id": "T"}),
        ("fail", {"task_id": "T", "error": "x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_any_command_but_a_report_renews_all_that_the_agent_holds(verb: str, body: dict[str, Any]) -> None:
    s = Scenario()
    s.holds("A", "other", "T", capacity=9)
    token = {"token": s.token("T")} if "task_id" in body else {}

    s.at(50).given("A", verb, **body, **token)

    assert expires(s, "other") == 230


def test_a_report_renews_its_own_lease_only() -> None:
    s = Scenario()
    s.holds("A", "other", "T")
    report(s, 100)
    assert (expires(s, "other"), expires(s)) == (180, 340)


def test_signs_of_life_count_neither_as_reports_nor_for_escalation() -> None:
    s = Scenario()
    s.holds("A", "T", lease={"max_renewals": 2})
    for at in range(100, 1000, 100):
        s.at(at).given("A", "heartbeat")

    lease = s.lease("T")
    assert (lease.reports, lease.renewals, lease.escalated, lease.lease_s) == (0, 9, False, 180)


def test_no_other_agents_lease_is_renewed() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.given("B", "register")
    s.at(100).given("B", "heartbeat")
    assert expires(s) == 180


def test_a_stuck_task_is_not_renewed_by_other_business() -> None:
    s = Scenario()
    s.holds("A", "T", on_silence="stuck")
    s.sweep(at=240).then("stuck")
    s.when("A", "heartbeat", at=250).then("heartbeat")
    assert (s.task("T").status, expires(s)) == ("stuck", 180)


def test_a_renewal_never_shortens() -> None:
    s = Scenario()
    s.holds("A", "T")
    report(s, 10, 0)
    report(s, 20, 80)
    assert expires(s) == 380
    report(s, 30, 10)
    assert (expires(s), s.lease("T").grace_s) == (380, 90)
    s.at(40).given("A", "heartbeat")
    assert expires(s) == 380


def test_within_the_grace_period_the_lease_is_still_the_holders() -> None:
    s = Scenario()
    s.holds("A", "T")
    report(s, 239.9)
    assert expires(s) == 479.9
    s.sweep(at=240).then()


def test_until_the_expiry_is_recorded_the_lease_is_still_the_holders() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.when("A", "complete", task_id="T", token=token, at=100_000).then("completed")


def test_the_hard_cap_bounds_every_renewal_and_then_expires_whatever_is_reported() -> None:
    s = Scenario()
    s.holds("A", "T", lease={"max_lease_s": 300.0})
    for at in (100, 160, 220, 280, 340):
        report(s, at)
        assert expires(s) == min(at + 240, 300)

    assert s.given("A", "progress", task_id="T", token=s.token("T"), percent=9).result["directive"] == "hand_over"
    # The rhythm would excuse the silence; the cap does not ask.
    event = s.sweep(at=360).then("expired", "requeued").event(ev.Expired)
    assert event.numbers.hard_cap


def test_a_holder_that_beats_is_not_stuck_though_nothing_renews_its_lease_any_more() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 5000.0, "max_lease_s": 5000.0})
    s.given("A", "progress", task_id="T", token=token, percent=1)
    names = []
    for at in range(50, 5000, 50):
        names += [name for name in s.at(at).given("A", "heartbeat").names if name != "heartbeat"]
        names += s.sweep().names
    assert names == ["renewed"] * 16, "once in 300 s"
    assert expires(s) == 5000


def test_the_hard_cap_stands_still_while_the_task_is_stuck() -> None:
    s = Scenario()
    token = s.holds("A", "T", on_silence="stuck", lease={"max_lease_s": 300.0})
    s.sweep(at=240).then("stuck")
    s.when("A", "lease", task_id="T", token=token, at=10_000).then("recovered")
    assert expires(s) == 300 + (10_000 - 240)


def test_the_end_of_grace_never_moves_to_an_earlier_time() -> None:
    s = Scenario()
    s.holds("A", "T")
    ends = []
    for at, percent in ((1, 50), (2, 90), (3, 10), (70, 10), (200, 80), (201, 30)):
        report(s, at, percent)
        ends.append(expires(s) + s.lease("T").grace_s)
    assert ends == sorted(ends)


@pytest.mark.parametrize("fields", [{"lease_s": 5.0}, {"grace_s": 5.0}, {"min_hours": 0.5}], ids=str)
def test_a_lease_field_that_would_do_nothing_is_refused(fields: dict[str, float]) -> None:
    refusal = Scenario().when(OPS, "submit", task_id="T", lease=fields).refused("invalid_command")
    assert next(iter(fields)) in refusal.message


def test_a_cap_below_the_first_term_cuts_it() -> None:
    s = Scenario()
    s.holds("A", "T", lease={"max_lease_s": 50.0})
    assert expires(s) == 50


def test_escalation_is_written_once_for_a_lease() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"max_renewals": 3})
    names = [s.given("A", "progress", task_id="T", token=token, percent=1).names for _ in range(6)]

    assert [("escalated" in each) for each in names] == [False, False, True, False, False, False]
    s.given("A", "release", task_id="T", token=token)
    s.given("A", "claim")
    assert not s.lease("T").escalated


def test_the_default_is_ten_reports() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    names = [s.given("A", "progress", task_id="T", token=token, percent=1).names for _ in range(10)]
    assert [number for number, each in enumerate(names, start=1) if "escalated" in each] == [10]


def test_an_announced_silence_counts_as_beating_until_its_end() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    report(s, 0)
    event = s.when("A", "silence", task_id="T", token=token, for_s=3600.0, reason="tests", at=10).event(ev.Silenced)

    assert s.seconds_until(event.until) == 3610
    assert expires(s) == 3850
    assert s.sweep(at=3909.999999).names == []
    assert s.sweep(at=3910).names == ["expired", "requeued"]


def test_a_silence_never_passes_the_hard_cap() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"max_lease_s": 1000.0})
    s.given("A", "silence", task_id="T", token=token, for_s=3600.0, reason="tests")
    assert expires(s) == 1000


def test_a_shorter_silence_takes_nothing_back() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", "silence", task_id="T", token=token, for_s=1000.0, reason="tests")
    s.given("A", "silence", task_id="T", token=token, for_s=1.0, reason="tests")
    assert expires(s) == 1180
    assert s.seconds_until(s.lease("T").last_beat_at or s.now) == 1000


def test_a_report_during_an_announced_silence_takes_nothing_back() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 5000.0})
    s.given("A", "silence", task_id="T", token=token, for_s=3000.0, reason="tests")
    s.at(10).given("A", "progress", task_id="T", token=token, percent=1)
    assert s.seconds_until(s.lease("T").last_beat_at or s.now) == 3000
    assert s.sweep(at=3600).names == []
    assert s.sweep(at=3600.000001).names == ["stuck"]


def test_a_lease_that_ends_within_an_announced_silence_ends_after_no_silence() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 100.0, "grace_s": 0.0, "max_lease_s": 1000.0})
    s.given("A", "silence", task_id="T", token=token, for_s=3600.0, reason="tests")
    expired = s.sweep(at=1000).then("expired", "requeued").event(ev.Expired)
    assert expired.numbers.silence_s == 0
    handoff = s.task("T").handoff
    assert handoff is not None
    assert handoff.reason.endswith(", 0 s after A was last heard on it")


def test_reading_the_lease_again_shows_it_whole() -> None:
    s = Scenario()
    definition: dict[str, Any] = {"title": "Build", "payload": {"x": [1]}, "labels": ["a"], "priority": "urgent"}
    token = s.holds("A", "T", deadline_s=5000.0, **definition)

    lease = s.given("A", "lease", task_id="T", token=token).result

    assert lease.keys() >= LEASE_FIELDS
    assert {name: lease[name] for name in ("task_id", "token", "attempt", "title", "payload", "labels", "handoff")} == {
        "task_id": "T",
        "token": token,
        "attempt": 1,
        "title": "Build",
        "payload": {"x": [1]},
        "labels": ["a"],
        "handoff": None,
    }
    assert (lease["expires_at"], lease["grace_s"]) == ("2026-11-21T08:03:00.000000Z", 60.0)
    assert lease["deadline"] == "2026-11-21T09:23:20.000000Z"


@pytest.mark.parametrize("verb", ["start", "progress", "silence"])
def test_a_holder_past_the_deadline_is_asked_to_stop(verb: str) -> None:
    s = Scenario(Rules(sweeper_enabled=False))
    token = s.holds("A", "T", deadline_s=10.0, lease=HOUR)
    bodies: dict[str, dict[str, Any]] = {"progress": {"percent": 1}, "silence": {"for_s": 1.0, "reason": "x"}}
    step = s.at(11).given("A", verb, task_id="T", token=token, **bodies.get(verb, {}))
    assert step.result["directive"] == "stop"


def test_at_the_very_deadline_a_holder_goes_on() -> None:
    s = Scenario()
    token = s.holds("A", "T", deadline_s=10.0, lease=HOUR)
    assert s.at(10).given("A", "start", task_id="T", token=token).result["directive"] == "continue"


def test_a_draining_agent_is_asked_to_hand_over_and_a_draining_pool_works_off_what_it_holds() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given(OPS, "drain")
    assert s.given("A", "start", task_id="T", token=token).result["directive"] == "continue"
    s.given(OPS, "drain", agent_id="A")
    assert s.given("A", "progress", task_id="T", token=token, percent=1).result["directive"] == "hand_over"
    s.given(OPS, "resume", agent_id="A")
    assert s.given("A", "progress", task_id="T", token=token, percent=1).result["directive"] == "continue"
