"""By the log, when an agent was heard last: what it did counts, and what is done for it does not."""

from __future__ import annotations

from domain.commands.service_commands import MarkLost
from projections.state.last_heard import LastHeard
from tests.support.scenario import OPS, Scenario


def heard(s: Scenario, agent_id: str = "A") -> float | None:
    """Fold the whole log; return when the agent was heard last, as seconds after the start."""
    last_heard = LastHeard()
    for recorded in s.log:
        last_heard.observe([recorded])
    assert LastHeard.loaded(last_heard.dump()).dump() == last_heard.dump()
    at = last_heard.heard_at(agent_id)
    return None if at is None else s.seconds_until(at)


def test_who_is_not_registered_is_not_remembered() -> None:
    s = Scenario()
    s.given("A", "register")
    s.at(10).given("A", "deregister")
    assert heard(s) is None
    s.at(20).given("A", "register")
    assert heard(s) == 20


def test_what_operators_do_with_its_tasks_is_no_sign_of_life_of_an_agent() -> None:
    s = Scenario()
    s.holds("A", "T", "U")
    s.at(10).given(OPS, "revoke", task_id="T")
    s.at(20).given(OPS, "fail", task_id="U", error="e")
    s.at(30).given(OPS, "deregister", agent_id="A")
    assert heard(s) is None
    s.at(40).given("A", "register")
    s.at(50).given(OPS, "assign", task_id="T", agent_id="A")
    assert heard(s) == 40


def test_a_late_report_is_a_sign_of_life() -> None:
    s = Scenario()
    token = s.holds("A", "T")
    s.sweep(at=1000)
    s.at(1500).when("A", "progress", task_id="T", token=token, percent=5).refused("stale_token", "late_progress")
    assert heard(s) == 1500


def test_when_it_was_heard_before_it_was_lost_does_not_take_back_what_is_on_record() -> None:
    s = Scenario()
    s.given("A", "register")
    s.at(100).given("A", "heartbeat")
    s.at(900).asks(MarkLost("A", 700.0, heard_at=s.log[0].time)).then("lost")
    assert heard(s) == 100


def test_a_claim_that_only_finds_what_is_past_its_deadline_shows_nothing() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "submit", task_id="T", deadline_s=5.0)
    s.at(10).given("A", "claim").then("failed")
    assert heard(s) == 0
