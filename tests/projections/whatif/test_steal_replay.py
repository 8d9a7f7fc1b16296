"""What other steal settings would have moved."""

from __future__ import annotations

from typing import Any

import pytest

from domain.commands.service_commands import Lead, PlanMove
from domain.events.pool import Led
from domain.policies.load_balancing import StealConfig, StealPolicy, loads_since
from domain.rules import Rules
from projections.state.balance_pass import BalancePass
from projections.state.steal_pass import move_from, sources
from projections.whatif.comparison import Comparison
from projections.whatif.policy import Policy
from tests.support.scenario import OPS, Scenario


def threshold(**settings: Any) -> StealConfig:
    """Return settings of the policy threshold."""
    return StealConfig(policy=StealPolicy.THRESHOLD, **settings)


def steals(s: Scenario, *configs: StealConfig) -> list[int]:
    """Return what was moved in the record, in the replay, and under each of these settings."""
    policies = [Policy(f"{number}", Rules(steal=each)) for number, each in enumerate(configs)]
    comparison = Comparison("default", s.rules, policies)
    for recorded in s.log:
        comparison.take(recorded)
    outcome = comparison.finish()
    return [each.measures.steals for each in (outcome.recorded, outcome.replayed, *outcome.policies)]


def passes(s: Scenario, until_s: float) -> None:
    """Let the stealer make its passes, every interval from the lead on."""
    led = next(each.time for each in s.log if isinstance(each.event, Led))
    interval_s = s.rules.steal.interval_s
    at_s = s.seconds_until(led) + interval_s
    while at_s <= until_s:
        if at_s >= s.seconds_until(s.now):
            s.at(at_s)
            since = loads_since(s.now, s.rules.load_valid_s)
            for source in sources(s.state, s.rules.steal, since):
                command = move_from(s.state, s.rules.steal, source, f"steal-{s.state.position}", since)
                if command is not None:
                    s.asks(command, actor="stealer")
        at_s += interval_s
    s.at(until_s)


@pytest.fixture
def s() -> Scenario:
    """A holds ten tasks, B none, and the stealer begins."""
    scenario = Scenario(Rules(steal=threshold(interval_s=10, cooldown_s=20)))
    scenario.asks(Lead("host:1:1"), actor="writer")
    scenario.given("B", "register", capacity=20)
    scenario.holds("A", *[f"T{number}" for number in range(10)])
    return scenario


def test_the_recorded_settings_make_the_recorded_moves(s: Scenario) -> None:
    passes(s, 35)
    s.given("B", "heartbeat")
    recorded, replayed = steals(s)
    assert recorded == replayed == 2


def test_settings_that_take_more_at_once_or_nothing(s: Scenario) -> None:
    passes(s, 35)
    s.given("B", "heartbeat")
    assert steals(
        s,
        threshold(enabled=False),
        threshold(max_steal_batch=5, cooldown_s=0, interval_s=10),
        threshold(steal_threshold=11),
        threshold(interval_s=100, cooldown_s=100),
        threshold(overloaded_above_tasks=20),
        threshold(overloaded_above_tasks=2, underloaded_below_tasks=6, max_steal_batch=8, cooldown_s=0),
    )[2:] == [0, 5, 0, 0, 0, 5]


def test_what_the_record_moved_stays_where_it_was_until_it_is_moved_here(s: Scenario) -> None:
    passes(s, 15)
    s.given(OPS, "submit", task_id="more")
    s.given(OPS, "assign", task_id="more", agent_id="A")
    passes(s, 45)
    s.given("B", "heartbeat")
    # At 20 s A holds eleven here, and B none; in the record it is nine and two, and B is not idle any more.
    assert steals(s, threshold(interval_s=20, cooldown_s=20, max_steal_batch=8)) == [2, 2, 5]


def test_a_started_task_is_not_moved(s: Scenario) -> None:
    for number in range(10):
        s.given("A", "start", task_id=f"T{number}", token=s.token(f"T{number}"), at=5)
    passes(s, 35)
    s.given("B", "heartbeat")
    assert steals(s, threshold(interval_s=1, cooldown_s=20)) == [0, 0, 2]


def test_an_operators_move_is_made_under_every_setting(s: Scenario) -> None:
    s.given(OPS, "steal", from_="A", to="B", count=5)
    passes(s, 35)
    s.given("B", "heartbeat")
    assert steals(s, threshold(interval_s=1, cooldown_s=20)) == [0, 0, 0]


def test_the_stealer_is_away_with_its_service(s: Scenario) -> None:
    s.at(3600).asks(Lead("host:1:2"), actor="writer")
    s.given("B", "heartbeat")
    assert steals(s) == [0, 0]


def test_a_load_that_grows_old_between_two_events_makes_a_target() -> None:
    s = Scenario(Rules(steal=threshold(interval_s=10, cooldown_s=20), load_valid_s=50.0))
    s.asks(Lead("host:1:1"), actor="writer")
    s.holds("A", *[f"T{number}" for number in range(10)], lease={"mode": "fixed", "lease_s": 5000.0})
    s.given("B", "register", capacity=20)
    s.given("B", "heartbeat", load={"cpu": 50.0})
    passes(s, 60)
    s.at(69).given(OPS, "pause")

    assert steals(s)[:2] == [2, 2]


def balanced_record() -> Scenario:
    """A began the first of six tasks, B has nothing; the log goes on for ten minutes."""
    s = Scenario(Rules(steal=StealConfig()))
    s.asks(Lead("host:1:1"), actor="writer")
    s.given("B", "register", capacity=20)
    s.holds("A", *[f"T{number}" for number in range(6)], lease={"mode": "fixed", "lease_s": 5000.0})
    s.given("A", "start", task_id="T0", token=s.token("T0"))
    for _ in range(10):
        s.at(s.seconds_until(s.now) + 60).given("A", "heartbeat")
    return s


def test_both_policies_are_compared_on_one_log() -> None:
    """Six tasks overload no agent; by expected durations the idle one gets the last of them."""
    assert steals(balanced_record(), StealConfig(), threshold(), StealConfig(enabled=False)) == [0, 1, 1, 0, 0]


def test_a_move_must_be_worth_its_cost_in_a_replay_too() -> None:
    assert steals(balanced_record(), StealConfig(move_cost_s=3600.0))[2] == 0


def test_an_agent_that_runs_out_makes_a_plan_before_the_next_pass() -> None:
    s = Scenario(Rules(steal=StealConfig(enabled=False)))
    s.asks(Lead("host:1:1"), actor="writer")
    s.holds("A", *[f"T{number}" for number in range(6)], lease={"mode": "fixed", "lease_s": 5000.0})
    s.holds("B", "U", lease={"mode": "fixed", "lease_s": 5000.0})
    for agent_id, task_id in (("A", "T0"), ("B", "U")):
        s.given(agent_id, "start", task_id=task_id, token=s.token(task_id))
    s.at(61).given("B", "complete", task_id="U", token=s.token("U"))
    s.at(63).given("B", "heartbeat")
    assert steals(s, StealConfig(interval_s=1000.0, cooldown_s=0.0))[2] == 1


@pytest.mark.parametrize(("claims", "moved"), [(True, 1), (False, 0)], ids=["claims", "is assigned"])
def test_an_agent_with_room_that_claims_itself_and_has_begun_all_is_taken_to_claim(claims: bool, moved: int) -> None:  # noqa: FBT001 - a case
    s = Scenario(Rules(steal=StealConfig(enabled=False)))
    s.asks(Lead("host:1:1"), actor="writer")
    s.holds("A", *[f"T{number}" for number in range(6)], lease={"mode": "fixed", "lease_s": 5000.0})
    s.given("A", "start", task_id="T0", token=s.token("T0"))
    if claims:
        s.given("B", "register", capacity=2)
        s.given(OPS, "submit", task_id="U", lease={"mode": "fixed", "lease_s": 5000.0})
        s.given("B", "claim")
    else:
        s.holds("B", "U", capacity=2, lease={"mode": "fixed", "lease_s": 5000.0})
    s.given("B", "start", task_id="U", token=s.token("U"))
    for _ in range(3):
        s.at(s.seconds_until(s.now) + 60).given("B", "heartbeat")
    assert steals(s, StealConfig())[2] == moved


def test_a_recorded_plan_says_who_wanted_how_many_and_when() -> None:
    s = Scenario(Rules(steal=StealConfig()))
    s.asks(Lead("host:1:1"), actor="writer")
    s.holds("A", *[f"T{number}" for number in range(6)], lease={"mode": "fixed", "lease_s": 5000.0})
    s.holds("B", "U", capacity=9, lease={"mode": "fixed", "lease_s": 5000.0})
    for agent_id, task_id in (("A", "T0"), ("B", "U")):
        s.given(agent_id, "start", task_id=task_id, token=s.token(task_id))
    s.at(5).asks(PlanMove("S1", "A", "B", ("T5", "T4"), 900.0), actor="stealer")
    # The thief begins at once: a plan that came later would find nothing to move.
    for task_id in ("T5", "T4"):
        s.given("B", "start", task_id=task_id, token=s.token(task_id))
    assert steals(s, StealConfig(enabled=False)) == [2, 2, 0]


def test_what_can_be_claimed_is_not_stolen() -> None:
    s = balanced_record()
    t = Scenario(Rules(steal=StealConfig()))
    t.asks(Lead("host:1:1"), actor="writer")
    t.given(OPS, "submit", task_id="queued")
    t.given("B", "register", capacity=20)
    t.holds("A", *[f"T{number}" for number in range(6)], lease={"mode": "fixed", "lease_s": 5000.0})
    t.given("A", "start", task_id="T0", token=t.token("T0"))
    t.at(s.seconds_until(s.now)).given("A", "heartbeat")
    assert steals(t) == [0, 0]


def test_a_long_silence_of_the_log_costs_few_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[BalancePass] = []
    original = BalancePass.moves

    def counted(plan: BalancePass, *args: Any) -> Any:
        planned.append(plan)
        return original(plan, *args)

    monkeypatch.setattr(BalancePass, "moves", counted)
    s = balanced_record()
    s.at(s.seconds_until(s.now) + 7 * 86_400).given("A", "heartbeat")
    steals(s)
    assert len(planned) < 200
