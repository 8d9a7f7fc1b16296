"""What happened to the pool and its agents as a whole is named, and what is ordinary is not."""

from __future__ import annotations

from domain.commands.service_commands import FillTail, Lead, MarkLost, Open, Rearm
from domain.events import Entity
from domain.events import pool as po
from domain.events import task as ev
from domain.pool import Pool
from domain.recorded import Recorded
from domain.rules import Rules
from projections.postmortem.causes import RULES, Cause, findings
from projections.postmortem.observed_events import CollectedEvents, ObservedEvent
from tests.support.postmortem import causes, done, named, working
from tests.support.scenario import OPS, START, Scenario


def quiet_life() -> Scenario:
    s = Scenario()
    working(s)
    done(s)
    return s


def test_a_task_that_went_well_has_no_causes() -> None:
    assert causes(quiet_life()) == set()
    assert set(RULES) == set(Cause)


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
    assert "because the pool could not hear its agents" in named(s, Cause.NEVER_HEARD)[0].evidence[0].text


def test_a_loss_of_the_tail_is_named_once() -> None:
    s = Scenario()
    s.holds("A", "T")
    for filled_to in (1_300, 2_300):
        s.asks(FillTail(acknowledged_to=290, filled_to=filled_to), actor="writer")
    first, second = named(s, Cause.TAIL_LOST)
    assert first.title == "the log lost its tail"
    assert [each.text for each in first.evidence] == [
        "positions 4 to 290 are lost, and what came after them; filled up to 1300"
    ]
    assert [s.log[each.position - 1].name for each in (*first.evidence, *second.evidence)] == ["tail_lost"] * 2
    assert Cause.FLOOD not in causes(s), "what fills the log is no flood"


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


def test_a_suspension_of_judging_is_named() -> None:
    recorded = Recorded(1, Entity.POOL, "default", 1, START, "ops", "c1", po.ExpiryHeld(reason="upgrade"))
    seen = ObservedEvent(recorded, None, None, Pool("default"), None, 0, None)
    (found,) = findings(CollectedEvents((seen,), 0, {}, 0, Rules()))
    assert (found.cause, found.evidence[0].text) == (Cause.EXPIRY_HELD, "upgrade")
