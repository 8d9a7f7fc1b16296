"""An agent's name outlives its processes: what an earlier session says changes nothing of what a later one has."""

from __future__ import annotations

from typing import Any

import pytest

from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.service_commands import MarkLost
from domain.decisions import membership
from domain.events.agent import Registered
from domain.lifecycles import AgentStatus
from tests.support.scenario import OPS, Scenario

FIELDS: dict[str, dict[str, Any]] = {
    "progress": {"percent": 1},
    "silence": {"for_s": 1, "reason": "r"},
    "block": {"reason": "r"},
    "fail": {"error": "e"},
}
ON_TASK = ("lease", "start", "progress", "silence", "release", "block", "complete", "fail")


def begun(s: Scenario, *sessions: str, **fields: Any) -> None:
    """Given: A registered once for each of these sessions."""
    for session in sessions:
        s.given("A", "register", session=session, capacity=10, **fields)


def test_a_registration_that_changes_the_session_alone_is_recorded() -> None:
    s = Scenario()
    begun(s, "s1")

    step = s.when("A", "register", session="s2", capacity=10).then("registered")

    assert step.event(Registered).session == "s2"
    assert s.agent("A").session == "s2"
    s.when("A", "register", session="s2", capacity=10).then()


def test_a_new_session_is_told_what_the_earlier_one_held_and_goes_on_with_it() -> None:
    s = Scenario()
    begun(s, "s1")
    token = s.holds("A", "T")

    leases = s.given("A", "register", session="s2", capacity=10).result["leases"]

    assert [(lease["task_id"], lease["token"]) for lease in leases] == [("T", token)]
    s.when("A", "release", session="s2", task_id="T", token=token).then("released", "requeued")


@pytest.mark.parametrize("verb", [verb for verb in AGENT_COMMANDS if verb != "register"])
def test_a_command_of_an_earlier_session_is_refused_and_changes_nothing(verb: str) -> None:
    s = Scenario()
    begun(s, "s1")
    token = s.holds("A", "T")
    begun(s, "s2")
    body = FIELDS.get(verb, {}) | ({"task_id": "T", "token": token} if verb in ON_TASK else {})
    before = s.lease("T")

    s.at(100).when("A", verb, session="s1", **body).refused("stale_session")

    assert s.lease("T") == before


@pytest.mark.parametrize("verb", [verb for verb in AGENT_COMMANDS if verb != "register"])
def test_without_a_session_and_with_the_current_one_all_is_accepted(verb: str) -> None:
    for session in ({}, {"session": "s2"}):
        s = Scenario()
        begun(s, "s1", "s2")
        token = s.holds("A", "T")
        body = FIELDS.get(verb, {}) | ({"task_id": "T", "token": token} if verb in ON_TASK else {})

        s.given("A", verb, **session, **body)


def test_a_session_that_never_registered_is_refused() -> None:
    s = Scenario()
    s.given("A", "register")

    assert s.when("A", "heartbeat", session="s1").refused("stale_session").details == {"agent_id": "A"}


def test_a_registration_that_names_no_session_ends_the_one_before() -> None:
    s = Scenario()
    begun(s, "s1")

    s.when("A", "register", capacity=10).then("registered")

    s.when("A", "heartbeat", session="s1").refused("stale_session")
    s.when("A", "heartbeat").then()


def test_an_earlier_session_that_leaves_takes_nothing_of_the_later_one() -> None:
    s = Scenario()
    begun(s, "s1", "s2")
    s.holds("A", "T")

    s.when("A", "deregister", session="s1").refused("stale_session")
    assert (s.lease("T").agent_id, s.agent("A").status) == ("A", AgentStatus.LIVE)

    assert s.given("A", "deregister", session="s2").result == {"released": 1}
    s.when("A", "heartbeat", session="s2").refused("unknown_agent")


def test_a_session_that_begins_while_a_large_one_leaves_keeps_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "RELEASES_AT_ONCE", 2)
    s = Scenario()
    begun(s, "s1")
    s.holds("A", "T1", "T2", "T3")
    decision = s.decide(s.request("A", "deregister", session="s1"))
    s.state.apply(decision)
    s.store(decision.records)
    begun(s, "s2")
    assert decision.follow_up is not None

    s.send(decision.follow_up).refused("stale_session")

    assert s.lease("T3").agent_id == "A"


def test_a_session_ends_with_its_agent() -> None:
    s = Scenario()
    begun(s, "s1")
    s.given("A", "deregister")

    begun(s, "s2")

    assert s.agent("A").session == "s2"
    s.when("A", "claim", session="s1").refused("stale_session")


def test_an_earlier_session_does_not_revive_a_lost_agent() -> None:
    s = Scenario()
    begun(s, "s1", "s2")
    s.asks(MarkLost("A", 700.0)).then("lost")

    s.when("A", "heartbeat", session="s1").refused("stale_session")
    assert s.agent("A").status is AgentStatus.LOST

    s.when("A", "heartbeat", session="s2").then("heartbeat")
    assert (s.agent("A").status, s.agent("A").session) == (AgentStatus.LIVE, "s2")


def test_which_registration_begins_a_session() -> None:
    s = Scenario()
    begins = []
    for body in ({}, {}, {"session": "s1"}, {"session": "s1"}, {"session": "s1", "capacity": 2}, {"session": "s2"}, {}):
        decision = s.decide(s.request("A", "register", **body))
        begins.append(decision.begins_session)
        s.given("A", "register", **body)
    assert begins == [True, True, True, False, False, True, True]


@pytest.mark.parametrize("session", ["", "x" * 65, "a b", "a.b", 7, "ä"])
def test_a_session_is_a_short_name(session: object) -> None:
    with pytest.raises(ValueError, match="session"):
        Scenario().request("A", "register", session=session)


def test_the_longest_session_is_taken() -> None:
    s = Scenario()
    s.given("A", "register", session="Az09_-" + "x" * 58)
    s.given(OPS, "submit", task_id="T")
    assert s.given("A", "claim", session="Az09_-" + "x" * 58).result["leases"]
