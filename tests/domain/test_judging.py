"""Deadlines, staleness and expiry: what is due when, and what it comes to."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from domain.commands.service_commands import Extend, Judge
from domain.due import due_at, silence_numbers
from domain.events import task as ev
from domain.lifecycles import TERMINAL, TaskStatus
from domain.limits import MAX_OVERDUE_AT_CLAIM
from domain.request import Request
from domain.rules import Rules
from domain.task import Task, evolve_task
from tests.domain.situations import SITUATIONS
from tests.support.scenario import OPS, Scenario

LONG = {"mode": "fixed", "lease_s": 5000.0, "grace_s": 0.0}
STEADY = {"mode": "fixed", "lease_s": 100.0, "grace_s": 0.0}


def report(s: Scenario, *moments: float) -> None:
    for at in moments:
        s.at(at).given("A", "progress", task_id="T", token=s.token("T"), percent=1)


# Deadlines


class WithDeadlines(Scenario):
    """Every task has a deadline after everything that brings a situation about."""

    def request(self, who: str, verb: str, **body: Any) -> Request:
        return super().request(who, verb, **(body | ({"deadline_s": 9000.0} if verb == "submit" else {})))


LIVING = [name for name, (status, _) in SITUATIONS.items() if status not in TERMINAL]


@pytest.mark.parametrize("situation", LIVING)
def test_past_its_deadline_a_task_fails_in_whatever_status(situation: str) -> None:
    s = WithDeadlines()
    SITUATIONS[situation][1](s)
    assert "failed" not in s.sweep(at=9000).names
    lease = s.task("T").lease

    event = s.sweep(at=9000.000001).then("failed").event(ev.Failed)

    assert event.error == "deadline exceeded by sweeper"
    assert event.token == (lease.token if lease is not None else None)
    assert event.numbers is not None
    assert event.numbers.overdue_s == pytest.approx(1e-6)


def test_a_deadline_comes_first_also_if_the_holder_is_stale_and_its_lease_is_over() -> None:
    s = Scenario()
    token = s.holds("A", "T", deadline_s=100.0)
    report(s, 1)

    event = s.sweep(at=5000).then("failed").event(ev.Failed)

    assert (event.token, event.agent_id) == (token, "A")


def test_a_deadline_is_a_moment_or_a_time_from_the_submission() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T1", deadline="2026-11-21T09:00:00+01:00")
    s.given(OPS, "submit", task_id="T2", deadline_s=60.0)
    assert s.task("T1").definition.deadline == s.now
    assert s.seconds_until(s.task("T2").definition.deadline or s.now) == 60


def test_a_deadline_that_has_passed_is_refused_at_the_submission() -> None:
    s = Scenario()
    s.wait(1)
    refusal = s.when(OPS, "submit", task_id="T", deadline="2026-11-21T08:00:00.999999Z").refused("invalid_command")
    assert refusal.details["fields"][0]["field"] == "deadline"
    s.given(OPS, "submit", task_id="T", deadline="2026-11-21T08:00:01Z")
    s.wait(1)
    s.when(OPS, "submit", task_id="T", deadline="2026-11-21T08:00:01Z").then()


def test_a_pool_may_have_a_default_deadline() -> None:
    s = Scenario(Rules(default_deadline_s=50.0))
    s.given(OPS, "submit", task_id="T")
    s.given(OPS, "submit", task_id="own", deadline_s=70.0)
    found = [s.task(task_id).definition.deadline for task_id in ("T", "own")]
    assert [s.seconds_until(each or s.now) for each in found] == [50, 70]
    assert s.sweep(at=50.1).then("failed").records[0].entity_id == "T"


@pytest.mark.parametrize("sweeper_enabled", [True, False])
def test_what_is_overdue_is_never_granted(*, sweeper_enabled: bool) -> None:
    s = Scenario(Rules(sweeper_enabled=sweeper_enabled))
    for agent_id in ("A", "B"):
        s.given(agent_id, "register", capacity=9)
    s.given(OPS, "submit", task_id="assigned", deadline_s=10.0)
    s.given(OPS, "assign", task_id="assigned", agent_id="A")
    s.given(OPS, "submit", task_id="T", deadline_s=10.0)
    s.given(OPS, "submit", task_id="later")
    s.at(10)
    s.at(10.000001).when(OPS, "assign", task_id="T", agent_id="A").refused("illegal_transition")
    s.when(OPS, "assign", task_id="T").refused("illegal_transition")
    refusal = s.when(OPS, "steal", from_="A", to="B", task_ids=["assigned"]).refused("illegal_transition")
    assert "its deadline has passed" in refusal.message
    s.when(OPS, "steal", from_="A", to="B").refused("illegal_transition")

    step = s.when("A", "claim", command_id="c")

    assert [(each.name, each.entity_id) for each in step.records] == [("failed", "T"), ("leased", "later")]
    assert step.event(ev.Failed).error == "deadline exceeded before it was claimed"
    assert [each.keyed for each in step.records] == [False, True]


def test_a_claim_finds_its_way_past_any_number_of_overdue_tasks_by_and_by() -> None:
    s = Scenario(Rules(sweeper_enabled=False))
    s.given("A", "register")
    overdue = 3 * MAX_OVERDUE_AT_CLAIM + 50
    for _ in range(2):
        s.given(OPS, "submit_many", tasks=[{"deadline_s": 1.0}] * (overdue // 2))
    s.given(OPS, "submit", task_id="last")
    s.wait(2)
    found = [s.when("A", "claim").names for _ in range(4)]
    assert [len(names) for names in found] == [MAX_OVERDUE_AT_CLAIM] * 2 + [MAX_OVERDUE_AT_CLAIM + 1, 0]
    assert found[2][-1] == "leased"


# Staleness


def test_a_holder_whose_last_beat_is_older_than_the_threshold_is_stuck() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease=LONG)
    report(s, 0)

    assert s.sweep(at=600).names == []
    event = s.sweep(at=600.000001).then("stuck").event(ev.Stuck)

    assert (event.token, event.agent_id, event.cause) == (token, "A", "staleness")
    assert event.numbers.stuck_threshold_s == 600
    assert event.numbers.silence_s == pytest.approx(600.000001)


def test_no_beat_yet_is_a_free_pass() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG)
    s.given("A", "start", task_id="T", token=s.token("T"))
    assert s.sweep(at=4999.999999).names == []
    assert s.sweep(at=5000).names == ["expired", "requeued"]


def test_a_recorded_renewal_is_a_beat() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG)
    report(s, 0)
    s.at(590).given("A", "heartbeat")
    assert s.sweep(at=1190).names == []
    assert s.sweep(at=1190.000001).names == ["stuck"]


def test_what_is_kept_for_a_person_stays_stuck_quietly() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG, on_silence="stuck")
    report(s, 0)
    s.sweep(at=601).then("stuck")

    assert s.sweep(at=100_000).names == []
    assert s.asks(Judge(("T",))).then().result == {"nothing": 1}


def test_a_stuck_task_that_is_heard_of_runs_anew() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG)
    report(s, 0)
    s.sweep(at=700)

    event = s.when("A", "start", task_id="T", token=s.token("T"), at=800).then("recovered").event(ev.Recovered)

    assert s.seconds_until(event.expires_at) == 5800
    assert s.task("T").status is TaskStatus.IN_PROGRESS
    assert s.sweep(at=1400).names == []
    assert s.sweep(at=1401).names == ["stuck"]


def test_stuck_is_an_early_warning_where_the_task_may_be_requeued() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease=LONG | {"grace_s": 30.0})
    report(s, 0)
    assert s.sweep(at=601).then("stuck").event(ev.Stuck).clock_runs
    assert (s.task("T").ticking, s.lease("T").status) == (True, "active")

    assert s.sweep(at=5029).names == []
    event = s.sweep(at=5030).then("expired", "requeued").event(ev.Expired)

    assert (event.token, event.numbers.silence_s) == (token, 5030)
    assert (s.task("T").expiries, s.task("T").former[-1].ended) == (1, "expired")
    assert s.task("T").handoff is not None


def test_what_was_stuck_may_be_quarantined_when_its_lease_is_due() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG, budgets={"expiries": 1})
    report(s, 0)
    s.sweep(at=601).then("stuck")
    s.sweep(at=5000).then("expired", "quarantined")


def test_with_on_silence_stuck_the_clock_of_a_stuck_lease_is_stopped() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG, on_silence="stuck")
    report(s, 0)
    assert not s.sweep(at=601).then("stuck").event(ev.Stuck).clock_runs
    assert (s.task("T").ticking, s.lease("T").status) == (False, "stopped")
    assert s.sweep(at=1_000_000).names == []


def test_the_time_in_which_a_stuck_leases_clock_runs_counts_towards_its_longest_life() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease=LONG | {"max_lease_s": 6000.0})
    report(s, 0)
    s.sweep(at=700).then("stuck")

    event = s.when("A", "lease", task_id="T", token=token, at=4000).then("recovered").event(ev.Recovered)

    assert s.seconds_until(event.expires_at) == 6000
    s.sweep(at=4700).then("stuck")
    s.sweep(at=6000).then("expired", "requeued")


def test_a_heartbeat_of_the_holder_recovers_what_runs_on() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG)
    s.holds("A", "kept", lease=LONG, on_silence="stuck")
    for task_id in ("T", "kept"):
        s.given("A", "progress", task_id=task_id, token=s.token(task_id), percent=1)
    s.sweep(at=700).then("stuck", "stuck")

    s.when("A", "heartbeat", at=800).then("heartbeat", "recovered")

    assert (s.task("T").status, s.seconds_until(s.lease("T").expires_at)) == ("in_progress", 5800)
    assert s.task("kept").status == "stuck"


def test_a_holder_that_beats_is_not_warned_of_however_long_its_lease() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG | {"lease_s": 80_000.0})
    report(s, 0)
    names = []
    for at in range(60, 3600, 60):
        names += s.when("A", "heartbeat", at=at).names
        assert s.sweep().names == []
    assert names.count("renewed") == 11, "one for each half of the threshold"


def test_a_probe_may_extend_the_due_lease_of_a_stuck_holder() -> None:
    s = Scenario()
    s.holds("A", "T", lease=LONG)
    report(s, 0)
    s.sweep(at=601).then("stuck")
    s.at(5000)
    assert extend(s) == ["extended"]
    assert s.task("T").status == "stuck"
    s.sweep(at=5300).then("expired", "requeued")


def test_what_older_software_called_stuck_is_folded_as_it_was_and_its_lease_runs_on_from_now() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease=LONG)
    report(s, 0)
    stuck = s.sweep(at=601).records[0]
    old = replace(stuck, event=stuck.event.model_copy(update={"clock_runs": False}))

    task = evolve_task(evolve_task_before(s), old)

    assert (task.status, task.held_lease.status) == ("stuck", "stopped")
    assert task.ticking
    assert s.seconds_until(due_at(task, s.state.pool, s.rules) or s.now) == 5000
    expired = replace(
        old,
        version=old.version + 1,
        event=ev.Expired(
            token=token, agent_id="A", numbers=silence_numbers(task, task.held_lease, s.state.pool, s.now)
        ),
    )
    assert evolve_task(task, expired).former[-1].ended == "expired"


def evolve_task_before(s: Scenario) -> Task:
    """Return T as it was before its last event."""
    task = None
    for recorded in [each for each in s.log if each.entity_id == "T"][:-1]:
        task = evolve_task(task, recorded)
    assert task is not None
    return task


def test_a_lease_that_is_over_expires_even_if_its_holder_is_stale_too() -> None:
    s = Scenario()
    s.holds("A", "T", lease=STEADY | {"lease_s": 700.0})
    report(s, 0)
    s.sweep(at=5000).then("expired", "requeued")


# Expiry and cadence


def test_the_rhythm_of_reports_excuses_as_much_silence() -> None:
    s = Scenario()
    s.holds("A", "T", lease=STEADY)
    report(s, 0, 90)

    assert s.sweep(at=540).names == []
    event = s.sweep(at=540.000001).then("expired", "requeued").event(ev.Expired)

    assert (event.numbers.median_interval_s, event.numbers.tolerated_silence_s) == (90, 450)
    assert event.numbers.reports == 2


def test_the_median_decides_not_the_mean() -> None:
    s = Scenario()
    s.holds("A", "T", lease=STEADY)
    report(s, 0, 10, 20, 119)
    assert s.sweep(at=218.999999).names == []
    assert s.sweep(at=219).names == ["expired", "requeued"]


def test_one_report_is_no_rhythm() -> None:
    s = Scenario()
    s.holds("A", "T", lease=STEADY)
    report(s, 50)
    assert s.sweep(at=150).names == ["expired", "requeued"]


def test_an_expiry_carries_the_numbers_it_was_decided_by() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    event = s.sweep(at=300).then("expired", "requeued").event(ev.Expired)

    numbers = event.numbers
    assert (event.token, event.agent_id) == (token, "A")
    assert s.seconds_until(numbers.expires_at) == 180
    assert s.seconds_until(numbers.due_at) == 240
    assert (numbers.grace_s, numbers.silence_s, numbers.silence_multiplier) == (60, 300, 5)
    assert (numbers.last_beat_at, numbers.median_interval_s, numbers.hard_cap) == (None, None, False)


def test_on_silence_stuck_keeps_the_lease_with_its_holder() -> None:
    s = Scenario()
    token = s.holds("A", "T", on_silence="stuck")
    event = s.sweep(at=240).then("stuck").event(ev.Stuck)

    assert (event.cause, event.numbers.stuck_threshold_s) == ("expiry", None)
    assert (s.token("T"), s.task("T").attempt, s.task("T").expiries) == (token, 1, 0)


def test_a_task_that_finished_meanwhile_is_counted_and_never_overwritten() -> None:
    s = Scenario()
    s.holds("A", "T", deadline_s=10.0)
    s.given(OPS, "cancel", task_id="T")
    assert s.at(1000).asks(Judge(("T", "never was"))).then().result == {"already_finished": 2}


def test_a_judgement_that_comes_too_early_comes_to_nothing() -> None:
    s = Scenario()
    s.holds("A", "T")
    assert s.asks(Judge(("T",))).then().result == {"nothing": 1}


def test_one_sweep_counts_its_findings_by_name() -> None:
    s = Scenario()
    s.holds("A", "requeued")
    s.holds("A", "stuck", on_silence="stuck")
    s.holds("A", "quarantined", budgets={"expiries": 1})
    s.holds("A", "failed", deadline_s=100.0)

    assert s.sweep(at=1000).result == {"requeued": 1, "stuck": 1, "quarantined": 1, "deadline_exceeded": 1}


def test_a_disabled_sweeper_judges_leases_only() -> None:
    s = Scenario(Rules(sweeper_enabled=False))
    s.holds("A", "T", deadline_s=10.0)
    s.at(1000).asks(Judge(("T",))).then("expired", "requeued")


# Extension probes


def extend(s: Scenario, token: int | None = None) -> list[str]:
    return s.asks(Extend("T", token or s.token("T"), "worktree", ("src/a.py",))).names


def test_a_probe_earns_300_seconds_from_the_moment_it_is_heard_at_most_twice() -> None:
    s = Scenario()
    s.holds("A", "T")
    assert s.at(250).asks(Extend("T", s.token("T"), "worktree", ("a",))).event(ev.Extended).extensions == 1
    assert s.seconds_until(s.lease("T").expires_at) == 550

    assert s.sweep(at=609.9).names == []
    s.at(610)
    assert extend(s) == ["extended"]
    s.at(970)
    assert extend(s) == []
    s.sweep().then("expired", "requeued")


def test_what_a_probe_has_earned_is_not_cut_short_by_the_staleness_threshold() -> None:
    s = Scenario()
    s.holds("A", "T", lease={"mode": "fixed", "lease_s": 400.0, "grace_s": 0.0})
    s.at(50).given("A", "progress", task_id="T", token=s.token("T"), percent=5)
    s.at(451)
    assert extend(s) == ["extended"]
    s.sweep(at=700).then()
    s.sweep(at=752).then("expired", "requeued")


def test_a_probe_is_heard_only_when_the_lease_is_due() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.at(239.9)
    assert extend(s) == []


@pytest.mark.parametrize(
    "situation", [n for n, (status, _) in SITUATIONS.items() if status not in {"assigned", "in_progress"}]
)
def test_a_probe_for_what_is_not_held_on_a_running_clock_comes_to_nothing(situation: str) -> None:
    s = Scenario()
    token = SITUATIONS[situation][1](s)
    assert s.at(6000).asks(Extend("T", token, "worktree", ())).then().result == {"extended": False}


def test_a_probe_with_a_former_token_comes_to_nothing() -> None:
    s = Scenario()
    old = s.holds("A", "T")
    s.sweep(at=240)
    s.given("A", "claim")
    s.at(1000)
    assert extend(s, old) == []


def test_a_probe_never_passes_the_hard_cap() -> None:
    s = Scenario()
    s.holds("A", "T", lease={"max_lease_s": 400.0})
    s.at(240)
    assert extend(s) == ["extended"]
    assert s.seconds_until(s.lease("T").expires_at) == 400
    s.at(460)
    assert extend(s) == []
