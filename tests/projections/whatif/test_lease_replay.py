"""What a replay under other rules counts, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from domain.commands.service_commands import Extend, Judge, Rearm
from domain.draft import Draft
from domain.events import pool as pool_ev
from domain.policies.lease import LeaseMode
from domain.request import Request
from domain.rules import Rules
from handlers.writer.watchdog import LONGEST_PAUSE_S
from projections.whatif.behaviour import WATCH_S
from projections.whatif.comparison import Comparison
from projections.whatif.comparison_result import ComparisonResult, pareto_front
from projections.whatif.measures import MeasureCounter, Measures
from projections.whatif.policy import Policy
from tests.support.scenario import OPS, Scenario

PROGRESS: dict[str, Any] = {"percent": 30}


def fixed(lease_s: float, grace_s: float = 0.0, **lease: Any) -> Policy:
    changes = {"mode": LeaseMode.FIXED, "lease_s": lease_s, "grace_s": grace_s, **lease}
    return Policy(f"{lease_s:g}", Rules(), changes)


def under(s: Scenario, *policies: Policy, since: int = 1) -> ComparisonResult:
    comparison = Comparison("default", s.rules, policies, since=since)
    for recorded in s.log:
        comparison.take(recorded)
    outcome = comparison.finish()
    assert outcome.agreement.whole, "the recorded settings make the recorded history"
    return outcome


def measured(s: Scenario, policy: Policy) -> Measures:
    return under(s, policy).policies[0].measures


def counts(measures: Measures) -> tuple[int, int, int]:
    return measures.recoveries, measures.false, measures.undecided


@pytest.fixture
def s() -> Scenario:
    """At 0 s A is granted T on 180 s and 60 s of grace."""
    scenario = Scenario()
    scenario.holds("A", "T")
    return scenario


def sweep_at(s: Scenario, at_s: float) -> None:
    """Let the sweeper be on time: judge everything that is due until then, when it is due."""
    while (due := s.state.next_due_at()) is not None and s.seconds_until(due) <= at_s:
        s.sweep(at=max(s.seconds_until(due), s.seconds_until(s.now)))
    s.at(at_s)


def test_a_holder_that_is_never_heard_again_was_dead_from_its_last_sign_until_it_was_recovered(s: Scenario) -> None:
    s.given("A", "start", task_id="T", token=s.token("T"), at=10)
    sweep_at(s, 1000)
    outcome = under(s, fixed(30), fixed(600, 10))
    assert counts(outcome.recorded.measures) == (1, 0, 0)
    # The start at 10 s was worth no renewal, so it moved no expiry; it was a sign of life all the same.
    assert outcome.recorded.measures.held_s == outcome.replayed.measures.held_s == 230
    assert [each.measures.held_s for each in outcome.policies] == [30, 600]


def test_the_dead_are_followed_past_the_end_of_the_log(s: Scenario) -> None:
    sweep_at(s, 241)
    s.given(OPS, "submit", task_id="last")
    assert measured(s, fixed(3600)).held_max_s == 3600


def test_a_holder_that_reports_later_was_recovered_falsely(s: Scenario) -> None:
    for at_s in (50, 130):
        s.given("A", "progress", task_id="T", token=s.token("T"), at=at_s, **PROGRESS)
    s.given("A", "complete", task_id="T", token=s.token("T"), at=150)
    outcome = under(s, fixed(60), fixed(90))
    # At 110 s, though the report of 130 s was to come.
    assert [counts(each.measures) for each in outcome.policies] == [(1, 1, 0), (0, 0, 0)]
    assert outcome.policies[0].measures.held_s == 0
    assert outcome.policies[0].measures.redone_s == 130


def test_beats_on_other_business_count_while_the_record_has_the_lease(s: Scenario) -> None:
    s.given("A", "heartbeat", at=100)
    s.given("A", "complete", task_id="T", token=s.token("T"), at=150)
    assert counts(measured(s, fixed(90))) == (1, 1, 0)
    assert counts(measured(s, fixed(110))) == (0, 0, 0)


def test_a_claim_that_waited_is_a_sign_of_life_when_it_was_sent_not_when_it_is_answered() -> None:
    s = Scenario()
    s.given("A", "register", capacity=2)
    s.given(OPS, "submit", task_id="T")
    s.given("A", "claim")
    sent = s.at(215).request("A", "claim", wait_s=30)
    sent_at = s.now
    assert s.send(sent).names == ["renewed"]
    s.given(OPS, "submit", task_id="U", at=240)
    assert s.send(replace(sent, asked_at=sent_at)).names == ["leased"]
    s.given(OPS, "cancel", task_id="U")
    sweep_at(s, 456)
    outcome = under(s)
    assert outcome.recorded.measures.recoveries == 1
    assert outcome.agreement.largest_difference_s == pytest.approx(0.0, abs=1e-3), "due at 455 s here too"


def test_beats_on_other_business_do_not_revive_what_the_record_took_away(s: Scenario) -> None:
    sweep_at(s, 250)
    s.given("A", "heartbeat", at=300)
    outcome = under(s, fixed(320))
    assert counts(outcome.recorded.measures) == (1, 0, 0)
    assert outcome.policies[0].measures.held_s == 320


def test_a_longer_term_saves_the_holder_that_reported_late(s: Scenario) -> None:
    token = s.token("T")
    sweep_at(s, 250)
    s.given("B", "register")
    s.given("B", "claim", at=260)
    s.when("A", "progress", task_id="T", token=token, at=300, **PROGRESS)
    s.given("B", "complete", task_id="T", token=s.token("T"), at=400)
    outcome = under(s, fixed(280, 30))
    assert counts(outcome.recorded.measures) == (1, 1, 0)
    assert outcome.recorded.measures.redone_s == 300
    # What A, told to stop, would have done after 300 s is not on record, so nothing is said of it.
    assert counts(outcome.policies[0].measures) == (0, 0, 0)


def test_where_the_log_ends_first_it_is_undecided(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="later", at=100)
    assert counts(measured(s, fixed(60))) == (1, 0, 1)
    assert measured(s, fixed(60)).held_s == 0


def test_what_the_record_had_not_come_to_judge_when_it_ended_is_not_judged(s: Scenario) -> None:
    s.given(OPS, "submit", task_id="last", at=250)
    outcome = under(s, fixed(60), fixed(245))
    assert counts(outcome.recorded.measures) == counts(outcome.replayed.measures) == (0, 0, 0), "due at 240 s"
    assert [each.measures.recoveries for each in outcome.policies] == [1, 0]


def test_only_what_followed_the_last_checkpoint_is_redone(s: Scenario) -> None:
    token = s.token("T")
    s.given("A", "progress", task_id="T", token=token, at=50, checkpoint={"at": 1}, **PROGRESS)
    s.given("A", "progress", task_id="T", token=token, at=70, **PROGRESS)
    sweep_at(s, 2000)
    assert under(s).recorded.measures.redone_s == 20


def test_a_late_completion_that_was_accepted_leaves_nothing_to_redo(s: Scenario) -> None:
    token = s.token("T")
    sweep_at(s, 250)
    s.given("A", "complete", task_id="T", token=token, at=260)
    outcome = under(s)
    assert counts(outcome.recorded.measures) == (1, 1, 0)
    assert outcome.recorded.measures.redone_s == outcome.replayed.measures.redone_s == 0


def test_announced_silence_holds_under_every_term(s: Scenario) -> None:
    s.given("A", "silence", task_id="T", token=s.token("T"), for_s=500, reason="build", at=20)
    s.given("A", "complete", task_id="T", token=s.token("T"), at=510)
    assert counts(measured(s, fixed(30))) == (0, 0, 0)


def test_the_rhythm_of_reports_excuses_silence(s: Scenario) -> None:
    token = s.token("T")
    for at_s in (10, 20, 30, 75):
        s.given("A", "progress", task_id="T", token=token, at=at_s, **PROGRESS)
    s.given("A", "complete", task_id="T", token=token, at=80)
    assert counts(measured(s, fixed(15, silence_multiplier=2.0))) == (1, 1, 0)
    assert counts(measured(s, fixed(15, silence_multiplier=5.0))) == (0, 0, 0)


def test_expiries_in_a_row_use_the_budget_up_under_other_terms_too() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", lease={"mode": "fixed", "lease_s": 100, "grace_s": 0})
    for at_s in (0, 200, 400):
        s.given("A", "claim", at=at_s)
        sweep_at(s, at_s + 150)
    outcome = under(s, fixed(130), fixed(300))
    assert outcome.recorded.measures.quarantined == outcome.replayed.measures.quarantined == 1
    assert [each.measures.quarantined for each in outcome.policies] == [1, 0]


def test_staleness_is_judged_by_the_threshold_of_the_policy() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 5000, "grace_s": 0})
    s.given("A", "progress", task_id="T", token=token, at=10, **PROGRESS)
    s.given("A", "progress", task_id="T", token=token, at=500, **PROGRESS)
    sweep_at(s, 1200)
    s.given(OPS, "requeue", task_id="T")
    outcome = under(s, Policy("quick", Rules(stuck_threshold_s=300)), Policy("off", Rules(sweeper_enabled=False)))
    quick, off = (each.measures for each in outcome.policies)
    assert (outcome.recorded.measures.stuck, quick.stuck, off.stuck) == (1, 2, 0)
    assert (outcome.recorded.measures.stuck_false, quick.stuck_false) == (0, 1)
    assert quick.recoveries == 0
    assert quick.held_s == pytest.approx(300, abs=0.001)


def test_who_was_freed_as_stuck_runs_on_where_it_is_not_stuck() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 5000, "grace_s": 0})
    s.given("A", "progress", task_id="T", token=token, at=10, **PROGRESS)
    sweep_at(s, 650)
    s.given(OPS, "requeue", task_id="T", at=700)
    outcome = under(s, Policy("off", Rules(sweeper_enabled=False)))
    assert outcome.replayed.measures.held_s == pytest.approx(600, abs=0.001)
    assert outcome.policies[0].measures.held_s == pytest.approx(5000)


def test_an_operators_decision_ends_a_lease_under_every_policy(s: Scenario) -> None:
    s.given(OPS, "cancel", task_id="T", at=100)
    assert counts(measured(s, fixed(120))) == (0, 0, 0)


def test_no_lease_is_judged_while_agents_could_not_be_heard(s: Scenario) -> None:
    s.at(150).asks(Rearm("outage", 100.0), actor="writer")
    s.given("A", "complete", task_id="T", token=s.token("T"), at=200)
    assert counts(measured(s, fixed(60))) == (0, 0, 0)
    assert counts(measured(s, fixed(40))) == (1, 1, 0)


def test_no_lease_is_judged_while_expiry_is_held(s: Scenario) -> None:
    for at_s, event in ((100, pool_ev.ExpiryHeld()), (1000, pool_ev.ExpiryResumed())):
        draft = Draft(s.state, Request(Judge(()), "writer", f"c{at_s}"), s.at(at_s).now, s.rules)
        draft.record_pool(event)
        s.state.apply(draft.decided())
        s.store(draft.records)
    sweep_at(s, 1100)
    outcome = under(s, fixed(60), fixed(120))
    assert outcome.recorded.measures.held_s == outcome.replayed.measures.held_s == 1000
    assert [each.measures.held_s for each in outcome.policies] == [60, 1000]


def test_the_reprieve_after_an_outage_can_be_another(s: Scenario) -> None:
    s.at(150).asks(Rearm("outage", 100.0), actor="writer")
    s.given("A", "complete", task_id="T", token=s.token("T"), at=200)
    short = Rules(rearm_max_s=10.0, rearm_jitter_s=0.0)
    assert counts(measured(s, Policy("short", short, fixed(60).lease, rearms=True))) == (1, 1, 0)


def test_a_probes_evidence_counts_where_the_lease_is_due_when_it_looked(s: Scenario) -> None:
    s.at(245).asks(Extend("T", s.token("T"), "worktree", ("a/b",)))
    s.given("A", "complete", task_id="T", token=s.token("T"), at=500)
    outcome = under(s, fixed(60))
    assert counts(outcome.replayed.measures) == (0, 0, 0)
    assert counts(outcome.policies[0].measures) == (1, 1, 0)


def test_renewals_are_those_that_the_terms_make_worth_writing(s: Scenario) -> None:
    for at_s in range(20, 200, 20):
        s.given("A", "heartbeat", at=at_s)
    outcome = under(s, fixed(100), fixed(1000))
    assert outcome.replayed.measures.renewals == outcome.recorded.measures.renewals == 9
    assert [each.measures.renewals for each in outcome.policies] == [9, 1]


def test_leases_granted_before_the_beginning_are_not_looked_at(s: Scenario) -> None:
    sweep_at(s, 300)
    later = s.log[-1].position + 1
    s.given("A", "claim", at=310)
    sweep_at(s, 900)
    outcome = under(s, since=later)
    assert (outcome.leases, outcome.recorded.measures.recoveries) == (1, 1)


def test_a_field_that_no_mode_looks_at_is_named(s: Scenario) -> None:
    outcome = under(s, Policy("odd", Rules(), {"lease_s": 10.0}), fixed(10))
    assert [each.misfits for each in outcome.policies] == [["lease_s goes with mode fixed, not adaptive"], []]


def test_the_front_holds_what_nothing_beats() -> None:
    def row(false: int, held_s: float) -> Measures:
        return MeasureCounter().measures(frozenset())._replace(false=false, held_s=held_s)

    assert pareto_front([row(0, 90), row(1, 50), row(1, 60), row(2, 50), row(9, 10), row(0, 90)]) == [
        True, True, False, False, True, True,
    ]  # fmt: skip


def test_memory_follows_what_is_alive(s: Scenario) -> None:
    s.given("A", "complete", task_id="T", token=s.token("T"), at=10)
    comparison = Comparison("default", s.rules, [fixed(60)])
    for recorded in s.log:
        comparison.take(recorded)
    comparison.finish()
    assert [len(each) for each in comparison._replays] == [0, 0]  # noqa: SLF001 - memory shows nowhere else
    assert not comparison._behaviour._attempts  # noqa: SLF001 - same


def test_terms_finer_than_the_recorded_beats_are_marked(s: Scenario) -> None:
    # A beat is worth a renewal after 18 s, a tenth of the first term.
    assert [each.finer_than_record for each in under(s, fixed(30), fixed(30, 10)).policies] == [True, False]


def test_a_task_that_brought_its_own_lease_rules_keeps_them() -> None:
    s = Scenario()
    s.holds("A", "usual", "own")
    s.holds("A", "short", lease={"mode": "fixed", "lease_s": 20, "grace_s": 5})
    sweep_at(s, 300)
    pool = s.rules.lease
    policy, absent = fixed(90)._replace(pool_lease=pool), fixed(90)._replace(pool_lease=pool, lease={"grace_s": 1.0})
    outcome = under(s, policy, absent, fixed(90))
    assert [each.holds_s for each in outcome.policies] == [[25, 90, 90], [25, 240, 240], [90, 90, 90]]


def test_a_policy_that_no_task_follows_is_named(s: Scenario) -> None:
    other = s.rules.lease.model_copy(update={"silence_multiplier": 7.0})
    policy = Policy("odd", Rules(), {"silence_multiplier": 2.0}, pool_lease=other)
    expected = "every task has another silence_multiplier than the pool, by its settings"
    assert under(s, policy).policies[0].misfits == [expected]


def test_an_outage_begins_as_long_before_its_event_as_the_writer_takes_to_look() -> None:
    assert WATCH_S == LONGEST_PAUSE_S


def test_who_vouches_for_one_task_is_not_heard_for_the_others(s: Scenario) -> None:
    """Else the replay would disagree with the record."""
    s.holds("A", "hung")
    for second in (60, 120, 180, 230):
        sweep_at(s, second)
        s.given("A", "heartbeat", tasks=[{"task_id": "T", "token": s.token("T")}])
        s.given("A", "claim")
    sweep_at(s, 241)

    assert s.task("hung").status == "queued"
    assert measured(s, Policy("recorded", s.rules)).recoveries == 1


def test_a_load_without_life_is_no_sign_of_life(s: Scenario) -> None:
    for second in (60, 120, 180):
        s.at(second).given("A", "heartbeat", alive=False, load={"cpu": 90.0})
    sweep_at(s, 241)

    assert measured(s, Policy("recorded", s.rules)).recoveries == 1
