"""A load report counts for some minutes, and until its agent registers again."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from domain.agent import evolve_agent
from domain.commands.service_commands import PlanSteal
from domain.events.agent import Registered
from domain.events.steal import Planned
from domain.policies.load_balancing import LoadStatus, loads_since
from domain.rules import Rules
from tests.support.scenario import OPS, Scenario

BUSY: dict[str, Any] = {"cpu": 95.0, "memory": 20.0}
LONG = {"mode": "fixed", "lease_s": 5000.0, "grace_s": 0.0}


def with_load(s: Scenario, status: LoadStatus) -> list[str]:
    return list(s.state.workloads.with_load(status, loads_since(s.now, s.rules.load_valid_s)))


def plan(s: Scenario) -> list[str]:
    return s.asks(PlanSteal(f"S{s.state.position}", "A", "B", 2, 1.0), actor="stealer").names


@pytest.mark.parametrize("load_valid_s", [300.0, 20.0])
def test_a_report_counts_for_so_long_and_no_longer(load_valid_s: float) -> None:
    s = Scenario(Rules(load_valid_s=load_valid_s))
    s.holds("A", "T1", "T2", "T3", "T4", lease=LONG)
    s.given(OPS, "load", agent_id="A", load=BUSY)

    s.at(load_valid_s)
    assert with_load(s, LoadStatus.OVERLOADED) == ["A"]
    s.at(load_valid_s + 0.001)
    assert (with_load(s, LoadStatus.OVERLOADED), with_load(s, LoadStatus.NORMAL)) == ([], ["A"])
    s.check()


def test_nothing_is_stolen_for_a_load_that_is_outdated() -> None:
    s = Scenario()
    s.holds("A", "T1", "T2", "T3", "T4", lease=LONG)
    s.given(OPS, "load", agent_id="A", load=BUSY)
    s.given("B", "register", capacity=9)
    s.at(300.1).given("B", "heartbeat")

    assert plan(s) == []
    s.given(OPS, "load", agent_id="A", load=BUSY)
    assert "stolen" in plan(s)
    planned = next(recorded.event for recorded in s.log if isinstance(recorded.event, Planned))
    assert planned.source_cpu == 95.0


def test_a_target_is_no_longer_kept_out_by_an_outdated_load() -> None:
    s = Scenario()
    s.holds("A", *(f"T{number}" for number in range(9)), lease=LONG)
    s.given("B", "register", capacity=9)
    s.given("B", "heartbeat", load={"cpu": 50.0})
    s.at(299).given("B", "claim")

    assert plan(s) == []
    s.at(301)
    assert with_load(s, LoadStatus.UNDERLOADED) == ["B"]
    assert "stolen" in plan(s)
    planned = next(recorded.event for recorded in s.log if isinstance(recorded.event, Planned))
    assert planned.target_cpu == 0.0


@pytest.mark.parametrize("verb", ["heartbeat", "load"])
def test_the_same_load_after_it_was_outdated_counts_again_at_once(verb: str) -> None:
    s = Scenario()
    s.given("A", "register")
    who = OPS if verb == "load" else "A"
    body: dict[str, Any] = {"load": BUSY} | ({"agent_id": "A"} if verb == "load" else {})
    s.given(who, verb, **body)
    s.at(301).given("A", "heartbeat")

    assert s.when(who, verb, **body).names
    assert with_load(s, LoadStatus.OVERLOADED) == ["A"]


@pytest.mark.parametrize(("record_s", "valid_s"), [(60.0, 300.0), (60.0, 20.0), (3000.0, 300.0)])
def test_a_load_that_is_reported_again_and_again_is_never_outdated(record_s: float, valid_s: float) -> None:
    s = Scenario(Rules(heartbeat_record_s=record_s, load_valid_s=valid_s))
    s.given("A", "register")
    for second in range(0, 1000, 9):
        s.at(second).given("A", "heartbeat", load=BUSY)
        s.at(second + 0.5).given("A", "heartbeat")
        s.at(second + 8.9)
        assert with_load(s, LoadStatus.OVERLOADED) == ["A"]


def test_registering_again_clears_the_load_even_if_nothing_else_changes() -> None:
    s = Scenario()
    s.given("A", "register", session="s1")
    s.given("A", "heartbeat", load=BUSY)
    assert with_load(s, LoadStatus.OVERLOADED) == ["A"]

    step = s.when("A", "register", session="s1").then("registered")

    assert step.event(Registered).clears_load
    agent = s.agent("A")
    assert (agent.cpu, agent.memory, agent.load_at) == (0.0, 0.0, None)
    assert with_load(s, LoadStatus.UNDERLOADED) == ["A"]
    s.when("A", "register", session="s1").then()


def test_a_registration_of_an_old_log_kept_the_load() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given("A", "heartbeat", load=BUSY)
    before = s.agent("A")
    now = s.when("A", "register", capacity=2).records[0]
    old = replace(now, event=Registered(capacity=2))
    assert evolve_agent(before, now).load_at is None
    kept = evolve_agent(before, old)
    assert (kept.cpu, kept.memory, kept.load_at, kept.capacity) == (95.0, 20.0, before.load_at, 2)


def test_an_undone_change_of_the_load_is_read_as_it_was() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "load", agent_id="A", load=BUSY)
    s.at(301)
    assert with_load(s, LoadStatus.OVERLOADED) == []
    decision = s.decide(s.request(OPS, "load", agent_id="A", load=BUSY))
    s.state.apply(decision)
    assert with_load(s, LoadStatus.OVERLOADED) == ["A"]
    s.state.undo()
    assert with_load(s, LoadStatus.OVERLOADED) == []
    s.check()


def test_a_clock_that_goes_back_makes_no_new_report_outdated() -> None:
    s = Scenario()
    s.given("A", "register")
    s.given(OPS, "load", agent_id="A", load=BUSY)
    workloads, now = s.state.workloads, s.now
    s.wait(3600)
    assert with_load(s, LoadStatus.OVERLOADED) == []
    assert list(workloads.with_load(LoadStatus.OVERLOADED, loads_since(now, 300.0))) == ["A"]
