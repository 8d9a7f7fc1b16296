"""Where a task is, why, and what comes next: each sentence agrees with the rules that judge."""

import json

import pytest

from domain.commands.service_commands import Rearm
from domain.due import due_at
from domain.lifecycles import TaskStatus
from domain.rules import Rules
from domain.task import Task
from domain.timestamps import after
from projections.reports.explain import Explanation, explain
from tests.domain.situations import SITUATIONS
from tests.support.scenario import OPS, START, Scenario


def explained(s: Scenario, task_id: str = "T") -> Explanation:
    return explain(s.task(task_id), s.state.pool, s.rules, s.now, state=s.state)


def coming(s: Scenario) -> dict[str, float | None]:
    """What is to come -> when, in seconds after the start."""
    return {each.what: None if each.at is None else s.seconds_until(each.at) for each in explained(s).next}


@pytest.mark.parametrize("how", SITUATIONS)
def test_every_situation_can_be_explained(how: str) -> None:
    s = Scenario()
    status, build = SITUATIONS[how]
    build(s)
    told = explained(s)
    assert told.status == status
    assert told.headline.startswith(status.replace("_", " "))
    assert told.why
    assert bool(told.next) != s.task("T").terminal
    json.dumps(told.as_json())


@pytest.mark.parametrize("how", SITUATIONS)
def test_the_next_judgement_is_among_what_comes(how: str) -> None:
    s = Scenario()
    SITUATIONS[how][1](s)
    due = due_at(s.task("T"), s.state.pool, s.rules)
    moments = {each.at for each in explained(s).next}
    deadline = s.task("T").definition.deadline
    if due is not None and deadline is not None and due > deadline:
        due = deadline
    assert due is None or due in moments


def test_a_fresh_lease_expires_has_grace_and_is_requeued() -> None:
    s = Scenario()
    s.holds("A", "T")
    told = coming(s)
    assert told["the lease expires, unless the holder is heard"] == 180
    assert told["its grace ends"] == 240
    assert told["if still silent: expired and requeued as attempt 2, with a hand-off"] == 240
    assert told["its longest life ends: nothing renews it beyond"] == 86_400


def test_a_rhythm_excuses_silence() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    for at in (100, 220, 340):
        s.at(at).given("A", "progress", task_id="T", token=token, percent=1)
    told = coming(s)
    assert told["its silence is excused until here: its median report interval is 2m, times 5"] == 940
    assert told["if still silent: expired and requeued as attempt 2, with a hand-off"] == pytest.approx(940)
    assert "3 progress reports, one about every 2m" in explained(s).why


def test_the_term_is_told_as_it_is_now_and_the_grant_as_it_was() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.at(60).given("A", "progress", task_id="T", token=token, percent=90)
    s.at(90).given("A", "progress", task_id="T", token=token, percent=95)
    why = explained(s).why
    assert why.index("granted at 2026-11-21 08:00:00Z") < why.index("its term is 6m, with 1m 30s of grace")


def test_the_last_expiry_in_the_budget_quarantines() -> None:
    s = Scenario()
    s.holds("A", "T", budgets={"expiries": 1})
    assert any(what.startswith("if still silent: expired and quarantined (1 expiries in a row") for what in coming(s))


def test_a_task_that_asks_for_it_becomes_stuck() -> None:
    s = Scenario()
    s.holds("A", "T", on_silence="stuck")
    assert "if still silent: stuck, and the holder keeps it on a stopped clock" in coming(s)


def test_staleness_comes_before_a_long_lease_ends() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 3600})
    s.at(10).given("A", "progress", task_id="T", token=token, percent=1)
    assert coming(s)["stuck, if not heard for more than 10m"] == pytest.approx(610)
    due = "if still silent: expired and requeued as attempt 2, with a hand-off"
    assert coming(s)[due] == pytest.approx(3670), "the clock runs on"
    s.sweep(at=611).then("stuck")
    assert coming(s)[due] == pytest.approx(3670)


def test_staleness_stops_the_clock_of_what_is_kept_for_a_person() -> None:
    s = Scenario()
    token = s.holds("A", "T", lease={"mode": "fixed", "lease_s": 3600}, on_silence="stuck")
    s.at(10).given("A", "progress", task_id="T", token=token, percent=1)
    assert coming(s)["stuck, if not heard for more than 10m"] == pytest.approx(610)
    assert not any(what.startswith("if still silent") for what in coming(s))


def test_an_outage_of_the_pool_shows_as_a_floor() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.at(100).asks(Rearm("outage", 1000), actor="writer")
    floor = s.state.pool.floor(s.token("T"))
    assert floor is not None
    assert coming(s)["no lease is judged before this, because the pool could not hear its agents"] == (
        s.seconds_until(floor)
    )


def test_a_deadline_is_told_with_what_it_does() -> None:
    s = Scenario()
    s.holds("A", "T", deadline_s=60)
    assert coming(s)["deadline: past it the sweeper fails the task"] == 60
    task: Task = s.task("T")
    told = explain(task, s.state.pool, Rules(sweeper_enabled=False), s.now)
    assert "deadline: past it the task is not granted; the sweeper, which would fail it, is off" in {
        each.what for each in told.next
    }


def test_who_could_claim_a_queued_task_and_who_not() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="first", priority="high")
    s.given(OPS, "submit", task_id="T", required_capabilities=["gpu"])
    s.given("busy", "register", capabilities=["gpu"], capacity=1)
    s.given("plain", "register")
    s.given("able", "register", capabilities=["gpu", "git"], capacity=4)
    s.given("resting", "register", capabilities=["gpu"])
    s.given(OPS, "pause", agent_id="resting")
    s.given(OPS, "submit", task_id="other")
    s.given(OPS, "assign", task_id="other", agent_id="busy")
    told = explained(s)
    assert [tuple(each) for each in told.candidates] == [
        ("able", True, "holds 0 of 4"),
        ("busy", False, "full: holds 1 of 1"),
        ("plain", False, "lacks gpu"),
        ("resting", False, "paused"),
    ]
    assert "1 queued task is more urgent or has waited longer" in told.why
    assert explained(s, "first").why[-1] == "first in line"
    s.given("able", "deregister")
    assert explained(s).why[-1] == "no registered agent can take it now"


def test_a_task_that_no_agent_can_do_says_what_is_missing_and_promises_no_grant() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", required_capabilities=["gpu", "linux"])
    before = "not granted before another agent is registered or comes back"
    assert list(coming(s)) == [f"{before}: no agent is live"]
    s.given("plain", "register", capabilities=["linux"])
    assert explained(s).why[-1] == "no registered agent can take it now: no live agent has gpu"
    assert list(coming(s)) == [f"{before}: no live agent has gpu"]
    s.given(OPS, "pause")
    assert list(coming(s)) == [f"{before} and the pool is no longer paused: no live agent has gpu"]
    s.given("card", "register", capabilities=["gpu"])
    assert explained(s).why[-1] == "no registered agent can take it now: no live agent has gpu, linux"
    s.given("able", "register", capabilities=["gpu", "linux"])
    assert all("not granted" not in each for each in coming(s))


def test_a_task_for_later_says_until_when() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", delay_s=60)
    s.given(OPS, "submit", task_id="U", priority="low")
    told = explained(s)
    assert told.headline == "queued for 0s, attempt 1; waits until 2026-11-21 08:01:00Z"
    assert coming(s) == {
        "its delay ends: it can be granted from here on": 60,
        "granted at the next claim of an agent that can do it, after its delay": None,
    }
    assert not any("line" in why or "waited longer" in why for why in told.why)
    assert "first in line" in explained(s, "U").why
    assert explained(s.at(60)).headline == "queued for 1m, attempt 1"


def test_a_failed_task_says_who_is_preferred_and_until_when() -> None:
    s = Scenario()
    s.holds("A", "T", retry={"delay_s": 8, "backoff": 1, "max_delay_s": 8})
    s.given("B", "register")
    s.given("A", "fail", task_id="T", token=s.token("T"), error="no")
    assert coming(s)["until here other agents are preferred to A, which had it last"] == 16
    assert {each.agent_id: each.can for each in explained(s.at(9)).candidates} == {"A": False, "B": True}
    assert explained(s).candidates[1].why == "had it last, and another agent is preferred"
    assert {each.agent_id: each.can for each in explained(s.at(16)).candidates} == {"A": True, "B": True}


def test_an_aged_priority_is_told_and_when_it_ages_next() -> None:
    s = Scenario(Rules(priority_aging_s=600.0))
    s.given(OPS, "submit", task_id="T", priority="low")
    s.at(599).given(OPS, "submit", task_id="U")
    assert coming(s)["it counts as one priority more urgent, every 10m"] == 600
    assert "1 queued task is more urgent or has waited longer" in explained(s).why
    told = explained(s.at(660))
    assert "its priority is low and has aged to medium, after waiting for 11m" in told.why
    assert "first in line" in told.why
    assert coming(s)["it counts as one priority more urgent, every 10m"] == 1200
    assert "it counts as one priority more urgent, every 10m" not in coming(s.at(1800))


def test_without_aging_nothing_is_told_of_it() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T", priority="low")
    assert not any("priority" in each for each in (*explained(s.at(1e6)).why, *coming(s)))


def test_a_paused_pool_is_named() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T")
    s.given(OPS, "pause")
    assert "the pool is paused: nothing is granted until it is resumed" in explained(s).why
    assert list(coming(s)) == [
        "granted at the next claim of an agent that can do it, once the pool is no longer paused"
    ]


def test_a_retry_and_what_it_retries_name_each_other() -> None:
    s = Scenario()
    s.given(OPS, "submit", task_id="T")
    s.given(OPS, "fail", task_id="T", error="x", retryable=False)
    s.given(OPS, "retry", task_id="T")
    s.given(OPS, "retry", task_id="T", new_id="again")
    assert explained(s).why[-1] == "retried as T-r1, again"
    assert "it retries T" in explained(s, "T-r1").why


def test_a_requeued_task_says_what_happened_before() -> None:
    s = Scenario()
    s.holds("A", "T")
    s.sweep(at=5000)
    told = explained(s)
    assert told.headline == "queued for 0s, attempt 2"
    assert told.why[0].startswith("requeued at 2026-11-21 09:23:20Z by sweeper: lease expired at")
    assert any(reason.startswith("hand-off: A held this task for") for reason in told.why)
    assert told.budgets[0] == "attempts: 8 left after this one of 10"
    assert any("late completion under expired token" in each.what for each in told.next)


def test_what_is_to_come_is_in_the_order_of_time() -> None:
    s = Scenario()
    s.holds("A", "T", deadline_s=200)
    moments = [each.at for each in explained(s).next if each.at is not None]
    assert moments == sorted(moments)
    assert moments[0] == after(START, 180)
    assert s.task("T").status is TaskStatus.ASSIGNED
