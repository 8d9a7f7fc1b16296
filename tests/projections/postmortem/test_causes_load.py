"""Too much work for too few is named with the limit, and not where there was room."""

from __future__ import annotations

from domain.commands.service_commands import PlanSteal
from domain.policies.load_balancing import StealConfig
from domain.rules import Rules
from projections.postmortem.causes import Cause
from tests.support.postmortem import causes, named
from tests.support.scenario import OPS, Scenario


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


def test_a_load_that_was_old_when_the_holder_was_last_heard_is_no_sign_of_overload() -> None:
    s = Scenario()
    s.holds("A", "T", lease={"mode": "fixed", "lease_s": 1000.0})
    s.given("A", "heartbeat", load={"cpu": 95, "memory": 10})
    s.at(400).given("A", "heartbeat")
    s.sweep(at=5000)
    assert Cause.OVERLOAD not in causes(s)


def test_a_task_that_no_agent_could_take_is_named_with_what_stood_in_the_way() -> None:
    s = Scenario()
    s.given("A", "register", capabilities=["git"])
    s.given(OPS, "submit", task_id="T", required_capabilities=["gpu"])
    s.at(30).given("B", "register", capabilities=["gpu"])
    s.given("B", "claim").then("leased")
    (found,) = named(s, Cause.CAPACITY)
    assert found.evidence[0].text == "T: waited 30s, then leased; A lacks gpu"


def test_a_task_that_an_agent_could_have_taken_is_not() -> None:
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
    assert found.title == "T was stolen 2 times before it was started"
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


def test_the_limits_are_those_of_the_stealer() -> None:
    s = Scenario(Rules(steal=StealConfig(overloaded_above_tasks=3, overloaded_above_cpu=50)))
    plan_steal(s, 4)
    (found,) = named(s, Cause.OVERLOAD)
    assert found.evidence[0].text == "a steal for B was planned: 4 tasks (limit 3), cpu 0 % (limit 50 %)"
