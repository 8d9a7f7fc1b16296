"""Which tasks move by the policy balance: what levels the expected work, and nothing that does not pay for itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.policies.balancing import WORTH, BalancingMove, Source, Target, Unstarted, plan_moves

COST_S = 1.0


def tasks(*expected_s: float, required: str = "", not_for: str = "") -> list[Unstarted]:
    """Tasks in the order in which they were assigned, as a source lists them: the latest first."""
    capabilities, agents = frozenset(required.split()), frozenset(not_for.split())
    listed = [Unstarted(f"T{number}", each, capabilities, agents) for number, each in enumerate(expected_s, 1)]
    return listed[::-1]


def plan(
    sources: list[Source], targets: list[Target], *, cost_s: float = COST_S, share: float = 0.5, most: int = 400
) -> list[BalancingMove]:
    return plan_moves(sources, targets, move_cost_s=cost_s, share=share, most=most)


def moved(moves: list[BalancingMove]) -> list[tuple[str, str, str]]:
    return [(move.source, move.target, " ".join(move.task_ids)) for move in moves]


B = Target("b", 1, asked=True)


@pytest.mark.parametrize(
    ("sources", "targets", "expect"),
    [
        pytest.param([], [B], [], id="no source"),
        pytest.param([Source("a", 60, tasks(60, 60))], [], [], id="no target"),
        pytest.param([Source("a", 60, tasks(60, 60))], [B], [("a", "b", "T2")], id="the latest of equal ones"),
        pytest.param([Source("a", 60, tasks(60, 90, 60))], [B], [("a", "b", "T2")], id="the longest first"),
        pytest.param(
            [Source("a", 60, tasks(60)), Source("c", 60, tasks(60, 60))], [B], [("c", "b", "T2")], id="from the busiest"
        ),
        pytest.param(
            [Source("a", 9, tasks(*[1] * 9)), Source("c", 60, tasks(60))],
            [B],
            [("c", "b", "T1")],
            id="the busiest by time, not by count",
        ),
        pytest.param(
            [Source("a", 60, tasks(60, required="gpu")), Source("c", 9, tasks(60))],
            [B],
            [("c", "b", "T1")],
            id="the next source where the target can do nothing of the first",
        ),
        pytest.param([Source("a", 60, tasks(60, not_for="b"))], [B], [], id="never back"),
        pytest.param([Source("a", 2.9, tasks(60))], [B], [], id="it does not begin sooner by enough"),
        pytest.param([Source("a", 3.1, tasks(60))], [B], [("a", "b", "T1")], id="it begins sooner by enough"),
        pytest.param([Source("a", 60, tasks(60))], [B._replace(pace=2.5)], [], id="it would end later there"),
        pytest.param(
            [Source("a", 60, tasks(60), pace=2.5)], [B], [("a", "b", "T1")], id="a slow source's work takes it longer"
        ),
        pytest.param([Source("a", 60, tasks(60, 20))], [B._replace(pace=2.2)], [("a", "b", "T2")], id="what fits"),
        pytest.param([Source("a", 0, tasks(60))], [B], [], id="what its holder would begin now stays"),
        pytest.param(
            [Source("a", 120, tasks(60, 60), at_once=2)],
            [B],
            [("a", "b", "T2")],
            id="of two at once each waits less",
        ),
        pytest.param(
            [Source("a", 60, tasks(60, 60, 60))],
            [B, Target("c", 1, asked=True)],
            [("a", "b", "T3"), ("a", "c", "T2")],
            id="each target in turn",
        ),
        pytest.param(
            [Source("a", 60, tasks(*[60] * 9))],
            [B._replace(wants=3)],
            [("a", "b", "T9 T8 T7")],
            id="as many as it asked for",
        ),
        pytest.param(
            [Source("a", 60, tasks(*[60] * 9))],
            [Target("b", 100)],
            [("a", "b", "T9 T8 T7")],
            id="without a claim half of what levels, in one move",
        ),
        pytest.param(
            [Source("a", 60, tasks(*[60] * 9))],
            [B._replace(wants=100)],
            [("a", "b", "T9 T8 T7 T6 T5")],
            id="however many it asks for, the difference is not turned round",
        ),
    ],
)
def test_a_plan(sources: list[Source], targets: list[Target], expect: list[tuple[str, str, str]]) -> None:
    assert moved(plan(sources, targets)) == expect


def test_a_plan_has_a_limit() -> None:
    source = Source("a", 60, tasks(*[60] * 50))
    moves = plan([source], [Target(f"b{number}", 1, asked=True) for number in range(20)], most=7)
    assert sum(len(move.task_ids) for move in moves) == 7


def test_a_move_says_by_how_much_sooner_its_tasks_begin() -> None:
    (move,) = plan([Source("a", 30, tasks(60, 40))], [B])
    assert (move.task_ids, move.gain_s) == (("T1",), 29)
    (move,) = plan([Source("a", 30, tasks(60, 60))], [B])
    assert (move.task_ids, move.gain_s) == (("T2",), 89)


times = st.sampled_from([0.5, 3.0, 10.0, 60.0, 600.0])
skills = st.frozensets(st.sampled_from(["gpu", "web"]))
paces = st.sampled_from([0.5, 1.0, 2.0])


@st.composite
def loads(draw: st.DrawFn) -> tuple[list[Source], list[Target]]:
    sources = [
        Source(
            f"s{number}",
            draw(times),
            [
                Unstarted(f"s{number}-{each}", draw(times), draw(skills), draw(st.frozensets(st.just("t0"))))
                for each in range(draw(st.integers(0, 8)))
            ],
            draw(times),
            draw(st.integers(1, 3)),
            draw(paces),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    targets = [
        Target(f"t{number}", draw(st.integers(0, 5)), draw(skills), draw(st.booleans()), draw(paces))
        for number in range(draw(st.integers(0, 4)))
    ]
    return sources, targets


@settings(max_examples=200, deadline=None)
@given(loads(), st.sampled_from([0.0, 1.0, 5.0]), st.sampled_from([0.3, 1.0]))
def test_every_plan_keeps_the_rules(found: tuple[list[Source], list[Target]], cost_s: float, share: float) -> None:
    sources, targets = found
    moves = plan(sources, targets, cost_s=cost_s, share=share)
    assert moves == plan(sources, targets, cost_s=cost_s, share=share), "a plan is a function of the loads"
    held = {task.task_id: (source, task) for source in sources for task in source.unstarted}
    by_target = {target.agent_id: target for target in targets}
    taken: dict[str, float] = dict.fromkeys(by_target, 0.0)
    given_away: dict[str, float] = {source.agent_id: 0.0 for source in sources}
    for move in moves:
        target = by_target[move.target]
        for task_id in move.task_ids:
            source, task = held.pop(task_id)
            assert source.agent_id == move.source
            assert task.required <= target.capabilities
            assert target.agent_id not in task.not_for
            taken[target.agent_id] += task.expected_s * target.pace
            given_away[source.agent_id] += task.expected_s * source.pace
        assert move.gain_s > WORTH * cost_s * len(move.task_ids)
    for target in targets:
        assert sum(len(move.task_ids) for move in moves if move.target == target.agent_id) <= target.wants
    longest_s = max((_ends_s(source) for source in sources), default=0.0)
    for agent_id, took_s in taken.items():
        assert took_s <= longest_s, f"{agent_id} would be at work for longer than the busiest was"
    assert not moves or sum(given_away.values()) > 0


def _ends_s(source: Source) -> float:
    unstarted_s = sum(task.expected_s for task in source.unstarted) * source.pace
    return (source.begun_s + source.others_s + unstarted_s) / source.at_once


@settings(max_examples=100, deadline=None)
@given(st.lists(times, min_size=1, max_size=12), st.integers(1, 4))
def test_what_was_moved_is_not_moved_back(expected_s: list[float], agents: int) -> None:
    """Where all were level after a plan, another plan, with the tables turned, moves nothing."""
    source = Source("a", 10.0, tasks(*expected_s))
    targets = [Target(f"b{number}", 1, asked=True) for number in range(agents)]
    gone = {task_id for move in plan([source], targets) for task_id in move.task_ids}
    idle = Target("a", 5, asked=True)
    stolen = [task._replace(not_for=frozenset({"a"})) for task in source.unstarted if task.task_id in gone]
    received = [Source(move.target, 0.0, stolen) for move in plan([source], targets)]
    assert plan(received, [idle]) == []
