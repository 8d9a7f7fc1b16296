"""A pass of the stealer, decided and carried out: it makes the moves that the policy names."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.policies.load_balancing import Load, Move, StealConfig, next_target, overloaded_sources
from tests.support.steal_passes import moves_of_a_pass

CONFIG = StealConfig()

configs = st.builds(
    StealConfig,
    steal_threshold=st.integers(0, 4),
    max_steal_batch=st.integers(1, 12),
    min_tasks_to_steal=st.integers(0, 9),
    overloaded_above_tasks=st.integers(0, 9),
    overloaded_above_cpu=st.sampled_from([30.0, 80.0, 100.0]),
    underloaded_below_tasks=st.integers(0, 9),
    underloaded_below_cpu=st.sampled_from([0.0, 30.0, 100.0]),
    cooldown_s=st.just(0.0),
)
capabilities = st.frozensets(st.sampled_from(["gpu", "web", "git"]))


@st.composite
def fleets(draw: st.DrawFn) -> list[Load]:
    count = draw(st.integers(0, 6) | st.integers(3, 6))
    fleet = []
    for number in range(count):
        tasks = draw(st.integers(0, 2) | st.integers(9, 14))
        fleet.append(
            Load(
                agent_id=f"a{number}",
                tasks=tasks,
                cpu=draw(st.sampled_from([0.0, 29.9, 50.0, 81.0])),
                capabilities=draw(capabilities),
                priority=draw(st.sampled_from([0.0, 1.0, 5.0])),
                capacity=tasks + draw(st.integers(0, 10)) or 1,
            )
        )
    return fleet


@pytest.mark.parametrize(
    ("agents", "config", "expect"),
    [
        pytest.param([], CONFIG, [], id="an empty fleet"),
        pytest.param(
            [Load("s1", 12), Load("s2", 20), Load("t", 0)],
            CONFIG,
            [Move("s1", "t", 2)],
            id="a target that has taken its share is judged anew: one is not flooded",
        ),
        pytest.param(
            [Load("s1", 12), Load("s2", 20), Load("t", 0)],
            StealConfig(max_steal_batch=1),
            [Move("s1", "t", 1), Move("s2", "t", 1)],
            id="while it is underloaded it may take more",
        ),
        pytest.param(
            [Load("s1", 12), Load("t", 0), Load("u", 0), Load("s2", 12)],
            CONFIG,
            [Move("s1", "t", 2), Move("s2", "u", 2)],
            id="sources take their turn in registration order, one target each",
        ),
        pytest.param(
            [Load("s", 20), Load("t", 0)],
            StealConfig(max_steal_batch=10),
            [Move("s", "t", 10)],
            id="who is overloaded is judged at the start, so a target never passes work on",
        ),
        pytest.param(
            [Load("s", 5, cpu=90.0), Load("t", 0)], StealConfig(min_tasks_to_steal=6), [], id="a source has min tasks"
        ),
        pytest.param([Load("s", 12), Load("t", 0)], StealConfig(enabled=False), [], id="disabled"),
    ],
)
def test_the_moves_of_a_pass(agents: list[Load], config: StealConfig, expect: list[Move]) -> None:
    assert moves_of_a_pass(config, agents) == expect


def carry_out(agents: Sequence[Load], moves: Sequence[Move]) -> list[list[Load]]:
    """The loads before each move, and after the last."""
    stages = [list(agents)]
    for move in moves:
        change = {move.source: -move.count, move.target: move.count}
        stages.append([replace(a, tasks=a.tasks + change.get(a.agent_id, 0)) for a in stages[-1]])
    return stages


@settings(max_examples=40, deadline=None)
@given(config=configs, agents=fleets())
def test_every_move_of_a_pass_keeps_the_rules(config: StealConfig, agents: list[Load]) -> None:
    moves = moves_of_a_pass(config, agents)
    for move, stage in zip(moves, carry_out(agents, moves), strict=False):
        loads = {agent.agent_id: agent for agent in stage}
        source, target = loads[move.source], loads[move.target]
        difference = source.tasks - target.tasks
        assert config.is_underloaded(target.tasks, target.cpu)
        assert difference >= config.steal_threshold
        assert 1 <= move.count <= config.max_steal_batch
        assert move.count <= difference / 2
        assert target.capacity is None or target.tasks + move.count <= target.capacity


@settings(max_examples=40, deadline=None)
@given(config=configs, agents=fleets())
def test_a_pass_takes_once_from_each_source_in_registration_order(config: StealConfig, agents: list[Load]) -> None:
    sources = [source.agent_id for source in overloaded_sources(config, agents)]
    taken = [move.source for move in moves_of_a_pass(config, agents)]
    assert taken == [source for source in sources if source in taken]


@settings(max_examples=40, deadline=None)
@given(config=configs, agents=fleets())
def test_a_pass_loses_and_makes_no_task_and_never_widens_the_spread(config: StealConfig, agents: list[Load]) -> None:
    after = carry_out(agents, moves_of_a_pass(config, agents))[-1]
    assert sum(agent.tasks for agent in after) == sum(agent.tasks for agent in agents)
    if agents:
        assert max(a.tasks for a in after) <= max(a.tasks for a in agents)
        assert min(a.tasks for a in after) >= min(a.tasks for a in agents)


@settings(max_examples=40, deadline=None)
@given(config=configs, agents=fleets())
def test_a_pass_makes_the_moves_that_the_policy_names_one_at_a_time(config: StealConfig, agents: list[Load]) -> None:
    moves: list[Move] = []
    for source in overloaded_sources(config, agents):
        now = carry_out(agents, moves)[-1]
        move = next_target(config, next(a for a in now if a.agent_id == source.agent_id), now)
        moves += [] if move is None else [move]
    assert moves == moves_of_a_pass(config, agents)
