"""Each cause is named by its rule, with its numbers and events, and is not named where the rule does not apply."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import task as ev
from domain.internal import Lead, MarkLost, Open, PlanSteal, Rearm
from domain.policies.stealing import StealConfig
from domain.rules import Rules
from projections.postmortem.causes import RULES, Cause
from tests.support.postmortem import causes, named
from tests.support.scenario import OPS, Scenario


def working(s: Scenario, task_id: str = "T", *, reports: tuple[float, ...] = (10, 20, 30), **definition: Any) -> int:
    """Given: A holds the task and reported at these times."""
    token = s.holds("A", task_id, **definition)
    for at in reports:
        s.at(at).given("A", "progress", task_id=task_id, token=token, percent=5)
    return token


def done(s: Scenario) -> None:
    s.given("A", "complete", task_id="T", token=s.token("T"))


def quiet_life() -> Scenario:
    s = Scenario()
    working(s)
    done(s)
    return s


def test_a_task_that_went_well_has_no_causes() -> None:
    assert causes(quiet_life()) == set()
    assert set(RULES) == set(Cause)


# Silence


def test_an_agent_that_fell_silent_is_named_with_its_median_interval() -> None:
    s = Scenario()
    working(s)
    s.sweep(at=5000).then("expired", "requeued")
    (found,) = named(s, Cause.SILENT)
    assert found.title == "A fell silent on T"
    (evidence,) = found.evidence
    assert s.log[evidence.position - 1].name == "expired"
    assert "silent for 1h 22m; reported about every 10s; × 5 tolerates 50s" in evidence.text
    assert "not judged earlier, for its grace lasted until 08:05:30" in evidence.text


def test_a_rhythm_that_outlasted_the_grace_is_why_nobody_judged_earlier() -> None:
    s = Scenario()
    working(s, reports=(100, 200, 300))
    s.sweep(at=800.000001).then("expired", "requeued")
    (found,) = named(s, Cause.SILENT)
    assert "not judged earlier, for its rhythm excused it until 08:13:20.0" in found.evidence[0].text


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
    assert "not asked at the longest life" in found.evidence[0].text
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


# Limits


def test_a_deadline_is_named_with_who_held_the_task() -> None:
    s = Scenario()
    working(s, deadline_s=60)
    s.sweep(at=90).then("failed")
    (found,) = named(s, Cause.DEADLINE)
    assert found.evidence[0].text == (
        "deadline 08:01:00.0, failed 30s later; A held it, at 5 %, last heard 1m before, attempt 1"
    )


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        (["git"], "nobody held it: queued for 1m 1s, attempt 1; A could have taken it"),
        ([], "nobody held it: queued for 1m 1s, attempt 1; nobody could take it: A lacks git"),
    ],
)
def test_a_deadline_in_the_queue_says_who_could_have_taken_the_task(capabilities: list[str], said: str) -> None:
    s = Scenario()
    s.given("A", "register", capabilities=capabilities)
    s.given(OPS, "submit", task_id="T", deadline_s=60, required_capabilities=["git"])
    s.sweep(at=61).then("failed")
    assert named(s, Cause.DEADLINE)[0].evidence[0].text.endswith(said)
    assert (Cause.CAPACITY in causes(s)) == (not capabilities)


def test_a_task_that_met_its_deadline_is_not_named() -> None:
    s = Scenario()
    working(s, deadline_s=60)
    done(s)
    assert Cause.DEADLINE not in causes(s)


def fails(s: Scenario, times: int, *, retryable: bool = True) -> None:
    for _ in range(times):
        (lease,) = s.given("A", "claim").result["leases"]
        s.given("A", "fail", task_id="T", token=lease["token"], error="no disk", retryable=retryable)


def test_failures_within_the_budget_are_told_from_a_spent_budget() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    fails(s, 2)
    assert causes(s) == {Cause.FAILURES}
    fails(s, 1)
    assert causes(s) == {Cause.FAILURES, Cause.BUDGET}
    (spent,) = named(s, Cause.BUDGET)
    assert (spent.title, spent.evidence[0].text) == (
        "T used up its budget of 3 failures",
        "the last error: no disk",
    )
    assert named(s, Cause.FAILURES)[0].title == "T failed 3 times, retryably"


def test_a_failure_that_is_not_retryable_is_the_holders_decision() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    fails(s, 1, retryable=False)
    assert causes(s) == {Cause.GAVE_UP}


def test_a_quarantine_is_a_spent_budget() -> None:
    s = Scenario()
    s.holds("A", "T", budgets={"expiries": 1})
    s.sweep(at=5000).then("expired", "quarantined")
    assert "the budget is 1" in named(s, Cause.BUDGET)[0].evidence[0].text


def test_an_escalation_is_named_once_the_limit_of_reports_is_reached() -> None:
    s = Scenario()
    working(s, lease={"max_renewals": 3}, reports=(10, 20))
    assert Cause.ESCALATED not in causes(s)
    s.at(30).given("A", "progress", task_id="T", token=s.token("T"), percent=9)
    assert named(s, Cause.ESCALATED)[0].title == "T was escalated: 3 reports on one lease"


def test_a_block_names_who_and_why() -> None:
    s = Scenario()
    token = working(s)
    s.given("A", "block", task_id="T", token=token, reason="no key")
    assert named(s, Cause.BLOCKED)[0].evidence[0].text == "A: no key"


def test_what_people_did_is_one_finding_for_each() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    s.given("ops/alice", "revoke", task_id="T", reason="wrong agent")
    s.given("ops/alice", "cancel", task_id="U")
    (found,) = named(s, Cause.OPERATOR)
    assert found.title == "ops/alice intervened on T, U"
    assert [each.text for each in found.evidence] == ["revoked T: wrong agent", "cancelled U"]


def test_a_lease_that_had_run_out_at_the_end_is_named() -> None:
    s = Scenario()
    working(s)
    s.at(290).given("B", "register")
    assert named(s, Cause.OVERDUE)[0].evidence[0].text == (
        "held by A until 08:04:30.0, 20s before the end shown; to be judged at 08:05:30.0"
    )


def test_a_lease_that_still_ran_at_the_end_is_not() -> None:
    s = Scenario()
    working(s)
    s.at(260).given("B", "register")
    assert Cause.OVERDUE not in causes(s)


# Load


def plan_steal(s: Scenario, tasks: int) -> None:
    s.holds("A", *(f"T{number}" for number in range(1, tasks + 1)), capacity=20)
    s.given("B", "register", capacity=20)
    s.asks(PlanSteal("S1", "A", "B", 2, 3.9), actor="stealer")


def test_an_overloaded_agent_is_named_with_the_limit() -> None:
    s = Scenario()
    plan_steal(s, 9)
    (found,) = named(s, Cause.OVERLOAD)
    assert found.title == "A was overloaded"
    assert found.evidence[0].text == "a steal for B was planned: 9 tasks (limit 8), cpu 0 % (limit 80 %)"


def test_a_manual_steal_from_an_agent_with_little_to_do_is_no_overload() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.given("B", "register")
    s.given(OPS, "steal", from_="A", to="B", task_ids=["T"])
    assert Cause.OVERLOAD not in causes(s)


def test_a_lease_that_expired_on_a_busy_machine_is_a_sign_of_overload() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.given("A", "heartbeat", load={"cpu": 95, "memory": 10})
    s.given("A", "progress", task_id="T", token=token, percent=1)
    s.sweep(at=5000)
    assert "T expired: 1 task (limit 8), cpu 95 %" in named(s, Cause.OVERLOAD)[0].evidence[0].text


def test_a_task_that_nobody_could_take_is_named_with_what_stood_in_the_way() -> None:
    s = Scenario()
    s.given("A", "register", capabilities=["git"])
    s.given(OPS, "submit", task_id="T", required_capabilities=["gpu"])
    s.at(30).given("B", "register", capabilities=["gpu"])
    s.given("B", "claim").then("leased")
    (found,) = named(s, Cause.CAPACITY)
    assert found.evidence[0].text == "T: waited 30s, then leased; A lacks gpu"


def test_a_task_that_somebody_could_have_taken_is_not() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    s.at(30).given("A", "claim").then("leased")
    assert Cause.CAPACITY not in causes(s)


def test_a_moment_in_the_queue_is_no_want_of_capacity() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.at(0.5).given("A", "register")
    s.given("A", "claim").then("leased")
    assert Cause.CAPACITY not in causes(s)


def steal(s: Scenario, task_id: str, source: str, target: str) -> None:
    s.given(OPS, "steal", from_=source, to=target, task_ids=[task_id]).then(
        "planned", "executing", "stolen", "completed"
    )


def three_agents(cooldown_s: float) -> Scenario:
    s = Scenario(Rules(steal=StealConfig(cooldown_s=cooldown_s)))
    s.holds("A", "T")
    s.holds("B", "U", capacity=5)
    s.given("C", "register", capacity=5)
    return s


def test_a_task_that_is_stolen_again_before_it_began_is_a_cascade() -> None:
    s = three_agents(cooldown_s=1.0)
    steal(s, "T", "A", "B")
    s.wait(10)
    steal(s, "T", "B", "C")
    (found,) = named(s, Cause.CASCADE)
    assert found.title == "T was stolen 2 times before anybody began it"
    assert [each.text for each in found.evidence] == ["from A to B", "from B to C"]


def test_a_target_that_is_stolen_from_within_the_cooldown_is_a_cascade() -> None:
    s = three_agents(cooldown_s=60.0)
    steal(s, "T", "A", "B")
    s.wait(10)
    steal(s, "U", "B", "C")
    (found,) = named(s, Cause.CASCADE)
    assert found.evidence[0].text == "B had been given T 10s before it lost U to C"


def test_steals_far_apart_are_none() -> None:
    s = three_agents(cooldown_s=60.0)
    steal(s, "T", "A", "B")
    s.wait(100)
    steal(s, "U", "B", "C")
    assert Cause.CASCADE not in causes(s)


# The pool


def test_an_outage_is_named_with_the_judgements_that_waited_for_its_floor() -> None:
    s = Scenario(Rules(rearm_jitter_s=0.0))
    s.holds("A", "T")
    s.holds("A", "U", lease={"mode": "fixed", "lease_s": 5000.0, "grace_s": 0.0})
    s.at(200).asks(Rearm("the connection was gone", 100.0), actor="writer")
    s.sweep(at=300)
    s.sweep(at=5000)
    (found,) = named(s, Cause.OUTAGE)
    assert found.title == "the pool could not hear its agents for 1m 40s"
    assert [s.log[each.position - 1].name for each in found.evidence] == ["rearmed", "expired"]
    assert found.evidence[1].text == "T waited for that, and was expired"
    assert "for the pool itself had been deaf" in named(s, Cause.NEVER_HEARD)[0].evidence[0].text


def test_a_restart_is_named_and_the_first_start_is_not() -> None:
    s = Scenario()
    s.asks(Open("test"), actor="writer")
    s.asks(Lead("host:1:1"), actor="writer")
    assert causes(s) == set()
    s.asks(Lead("host:2:2"), actor="writer")
    assert named(s, Cause.RESTART)[0].title == "the service was restarted once"


def test_closed_gates_are_named() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "drain", agent_id="A", reason="upgrade")
    s.given(OPS, "pause")
    assert [each.text for each in named(s, Cause.PAUSED)[0].evidence] == [
        "agent/A draining: upgrade",
        "pool/default paused",
    ]


def test_an_agent_that_was_lost_while_it_held_work_is_named() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    s.given("B", "register")
    for agent_id in ("A", "B"):
        s.asks(MarkLost(agent_id, 601.0))
    (found,) = named(s, Cause.LOST)
    assert found.title == "A was lost while it held 2 tasks"


def test_every_judgement_of_a_history_has_a_cause() -> None:
    """Whatever ends a lease against its holder's will can be named."""
    s = Scenario()
    s.holds("A", "T", "U", "V", budgets={"expiries": 2})
    for at in (5000, 10000):
        s.sweep(at=at)
        s.when("A", "claim", max=3)
    evidence = {each.position for cause in Cause for found in named(s, cause) for each in found.evidence}
    judged = {each.position for each in s.log if isinstance(each.event, ev.Expired | ev.Quarantined)}
    assert judged <= evidence
