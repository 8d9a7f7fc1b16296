"""Silence is named by its rule, with its numbers and events, and not where the rule does not apply."""

from __future__ import annotations

import pytest

from domain.commands.service_commands import Judge
from projections.postmortem.causes import Cause
from tests.support.postmortem import causes, named, working
from tests.support.scenario import OPS, Scenario


def test_an_agent_that_fell_silent_is_named_with_its_median_interval() -> None:
    s = Scenario()
    working(s)
    s.sweep(at=5000).then("expired", "requeued")
    (found,) = named(s, Cause.SILENT)
    assert found.title == "A fell silent on T"
    (evidence,) = found.evidence
    assert s.log[evidence.position - 1].name == "expired"
    assert "silent for 1h 22m; reported about every 10s; × 5 tolerates 50s" in evidence.text
    assert "not judged earlier, because its grace lasted until 08:05:30" in evidence.text


def test_a_report_interval_that_outlasted_the_grace_is_why_it_was_not_judged_earlier() -> None:
    s = Scenario()
    working(s, reports=(100, 200, 300))
    s.sweep(at=800.000001).then("expired", "requeued")
    (found,) = named(s, Cause.SILENT)
    assert "not judged earlier, because its report interval excused it until 08:13:20.0" in found.evidence[0].text


def test_one_silence_over_several_tasks_is_one_finding() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    for task_id in ("T", "U"):
        s.given("A", "progress", task_id=task_id, token=s.token(task_id), percent=1)
    s.sweep(at=5000)
    (found,) = named(s, Cause.SILENT)
    assert found.title == "A fell silent while it held 2 tasks: T, U"
    assert len(found.evidence) == 2


def test_silences_with_a_sign_of_life_between_are_two() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.given("A", "progress", task_id="T", token=s.token("T"), percent=1)
    s.sweep(at=5000)
    (lease,) = s.given("A", "claim").result["leases"]
    s.given("A", "progress", task_id="T", token=lease["token"], percent=1)
    s.sweep(at=9000)
    assert len(named(s, Cause.SILENT)) == 2


def test_a_load_without_life_does_not_break_a_silence() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    for task_id in ("T", "U"):
        s.given("A", "progress", task_id=task_id, token=s.token(task_id), percent=1)
    s.at(305).asks(Judge(("T",))).then("expired", "requeued")
    s.when("A", "heartbeat", alive=False, load={"cpu": 90.0}).then("load_reported")
    s.sweep(at=5000).then("expired", "requeued")
    assert len(named(s, Cause.SILENT)) == 1


def test_an_agent_that_was_never_heard_is_told_from_one_that_fell_silent() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.sweep(at=240).then("expired", "requeued")
    assert Cause.SILENT not in causes(s)
    (found,) = named(s, Cause.NEVER_HEARD)
    assert "not heard since the grant" in found.evidence[0].text


def test_an_announced_silence_that_was_overrun_is_named() -> None:
    s = Scenario()
    token = working(s)
    s.at(40).given("A", "silence", task_id="T", token=token, for_s=100, reason="a long build")
    s.sweep(at=5000)
    assert {Cause.OVERRAN} == causes(s) & {Cause.OVERRAN, Cause.SILENT}


def test_an_announced_silence_that_was_kept_is_not() -> None:
    s = Scenario()
    token = working(s)
    s.at(40).given("A", "silence", task_id="T", token=token, for_s=100, reason="a long build")
    s.at(150).given("A", "progress", task_id="T", token=token, percent=10)
    s.sweep(at=5000)
    assert {Cause.SILENT} == causes(s) & {Cause.OVERRAN, Cause.SILENT}


def test_a_stale_holder_is_named_with_the_threshold() -> None:
    s = Scenario()
    working(s, lease={"mode": "fixed", "lease_s": 3600})
    s.sweep(at=700).then("stuck")
    (found,) = named(s, Cause.STALE)
    assert "silent for 11m 10s; the limit is 10m" in found.evidence[0].text
    assert Cause.SILENT not in causes(s)


def test_a_lease_that_ran_out_on_a_task_that_asks_for_stuck_is_silence() -> None:
    s = Scenario()
    working(s, on_silence="stuck")
    s.sweep(at=5000).then("stuck")
    assert {Cause.SILENT} == causes(s) & {Cause.STALE, Cause.SILENT}


def test_the_longest_life_of_a_lease_is_named_and_not_called_silence() -> None:
    s = Scenario()
    working(s, lease={"mode": "fixed", "lease_s": 50, "grace_s": 10, "max_lease_s": 60})
    s.sweep(at=70).then("expired", "requeued")
    (found,) = named(s, Cause.HARD_CAP)
    assert "which does not count at the longest life" in found.evidence[0].text
    assert Cause.SILENT not in causes(s)


@pytest.mark.parametrize("verb", ["progress", "complete"])
def test_a_holder_that_reports_after_its_lease_expired_was_alive(verb: str) -> None:
    s = Scenario()
    token = working(s)
    s.sweep(at=5000)
    body = {"percent": 50} if verb == "progress" else {}
    s.at(5010).when("A", verb, task_id="T", token=token, **body)
    (found,) = named(s, Cause.ALIVE)
    assert found.title == "A was judged silent on T, but was alive"
    assert "10s after it was judged" in found.evidence[0].text


def test_a_stuck_holder_that_is_heard_again_was_alive() -> None:
    s = Scenario()
    token = working(s, lease={"mode": "fixed", "lease_s": 3600})
    s.sweep(at=700)
    s.at(720).given("A", "progress", task_id="T", token=token, percent=50)
    assert "T: A was heard again, 20s after it was judged" in named(s, Cause.ALIVE)[0].evidence[0].text


def test_a_late_report_after_a_revocation_is_no_false_judgement() -> None:
    s = Scenario()
    token = working(s)
    s.given(OPS, "revoke", task_id="T")
    s.when("A", "progress", task_id="T", token=token, percent=50)
    assert s.log[-1].name == "late_progress"
    assert Cause.ALIVE not in causes(s)
