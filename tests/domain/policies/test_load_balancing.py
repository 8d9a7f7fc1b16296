"""Which agent takes work off which."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policies.load_balancing import (
    Load,
    LoadStatus,
    Move,
    StealConfig,
    capability_match,
    next_target,
    target_score,
)

CONFIG = StealConfig()
BUSY = Load("busy", tasks=12)
CAPABILITIES = st.frozensets(st.sampled_from(["gpu", "web", "db", "ml"]))
CONFIGS = st.builds(
    StealConfig,
    steal_threshold=st.integers(0, 12),
    max_steal_batch=st.integers(1, 12),
    min_tasks_to_steal=st.integers(0, 12),
    overloaded_above_tasks=st.integers(0, 12),
    overloaded_above_cpu=st.sampled_from([30.0, 80.0, 100.0]),
    underloaded_below_tasks=st.integers(0, 12),
    underloaded_below_cpu=st.sampled_from([0.0, 30.0, 100.0]),
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Load]:
    return [
        Load(
            f"a{number}",
            tasks=draw(st.integers(0, 25)),
            cpu=draw(st.sampled_from([0.0, 29.99, 30.0, 80.0, 80.01])),
            capabilities=draw(CAPABILITIES),
            priority=draw(st.integers(0, 10)),
            capacity=draw(st.none() | st.integers(0, 25)),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


@pytest.mark.parametrize(
    ("tasks", "cpu", "expect"),
    [
        pytest.param(9, 0.0, LoadStatus.OVERLOADED, id="more than 8 tasks: overloaded"),
        pytest.param(8, 80.0, LoadStatus.NORMAL, id="8 tasks and 80 % cpu: normal"),
        pytest.param(0, 80.01, LoadStatus.OVERLOADED, id="more than 80 % cpu: overloaded, even without tasks"),
        pytest.param(1, 29.99, LoadStatus.UNDERLOADED, id="fewer than 2 tasks and less than 30 % cpu: underloaded"),
        pytest.param(2, 0.0, LoadStatus.NORMAL, id="2 tasks: normal"),
        pytest.param(0, 30.0, LoadStatus.NORMAL, id="30 % cpu: normal"),
    ],
)
def test_load_status(tasks: int, cpu: float, expect: LoadStatus) -> None:
    assert CONFIG.load_status(tasks, cpu) is expect
    assert CONFIG.is_overloaded(tasks, cpu) == (expect is LoadStatus.OVERLOADED)
    assert CONFIG.is_underloaded(tasks, cpu) == (expect is LoadStatus.UNDERLOADED)


@pytest.mark.parametrize(
    ("limits", "tasks", "cpu", "expect"),
    [
        pytest.param({"overloaded_above_tasks": 3}, 4, 0.0, LoadStatus.OVERLOADED, id="4 tasks are too many"),
        pytest.param({"overloaded_above_tasks": 20}, 20, 0.0, LoadStatus.NORMAL, id="20 tasks are not too many"),
        pytest.param({"overloaded_above_cpu": 100.0}, 0, 100.0, LoadStatus.NORMAL, id="100: cpu does not count"),
        pytest.param({"overloaded_above_cpu": 40.0}, 0, 41.0, LoadStatus.OVERLOADED, id="41 % cpu is too much"),
        pytest.param({"underloaded_below_tasks": 5}, 4, 0.0, LoadStatus.UNDERLOADED, id="4 tasks are few"),
        pytest.param({"underloaded_below_tasks": 0}, 0, 0.0, LoadStatus.NORMAL, id="0: nobody has few"),
        pytest.param({"underloaded_below_cpu": 75.0}, 0, 70.0, LoadStatus.UNDERLOADED, id="70 % cpu is little"),
        pytest.param(
            {"overloaded_above_tasks": 1, "underloaded_below_tasks": 5},
            *(2, 0.0, LoadStatus.OVERLOADED),
            id="both limits hold: overloaded goes first",
        ),
    ],
)
def test_load_status_follows_the_settings(limits: dict[str, Any], tasks: int, cpu: float, expect: LoadStatus) -> None:
    assert StealConfig(**limits).load_status(tasks, cpu) is expect


@pytest.mark.parametrize(
    ("source", "target", "expect"),
    [
        pytest.param([], [], 0.5, id="neither has any: 0.5"),
        pytest.param(["gpu"], [], 0.5, id="one has none: 0.5"),
        pytest.param(["gpu"], ["web"], 0.0, id="nothing in common: 0"),
        pytest.param(["gpu", "web"], ["web", "gpu"], 1.0, id="the same, in any order: 1"),
        pytest.param(["gpu"], ["gpu", "web", "db", "ml"], 0.25, id="common over the longer"),
        pytest.param(["gpu", "gpu"], ["gpu"], 1.0, id="duplicates do not count"),
    ],
)
def test_capability_match(source: list[str], target: list[str], expect: float) -> None:
    assert capability_match(source, target) == expect


@given(source=CAPABILITIES, target=CAPABILITIES)
def test_a_capability_match_is_mutual_and_from_0_to_1(source: frozenset[str], target: frozenset[str]) -> None:
    assert 0 <= capability_match(source, target) == capability_match(target, source) <= 1


def test_target_score_weighs_match_difference_and_priority() -> None:
    source = Load("s", tasks=9, capabilities=frozenset({"gpu"}))
    target = Load("t", tasks=1, capabilities=frozenset({"gpu", "web"}), priority=5)
    assert target_score(source, target) == pytest.approx(0.4 * 0.5 + 0.4 * 8 + 0.1 * 5)


@pytest.mark.parametrize(
    ("source", "others", "config", "expect"),
    [
        pytest.param(BUSY, [Load("t", 0)], CONFIG, ("t", 2), id="no more than the batch"),
        pytest.param(BUSY, [Load("t", 0)], StealConfig(max_steal_batch=9), ("t", 6), id="no more than half"),
        pytest.param(BUSY, [Load("t", 1)], StealConfig(max_steal_batch=9), ("t", 5), id="half is rounded down"),
        pytest.param(BUSY, [Load("t", 2)], CONFIG, None, id="a target is underloaded"),
        pytest.param(BUSY, [Load("t", 0, cpu=30.0)], CONFIG, None, id="a target's cpu is low too"),
        pytest.param(BUSY, [], CONFIG, None, id="no other agent"),
        pytest.param(Load("s", 0), [], CONFIG, None, id="no agent is its own target"),
        pytest.param(BUSY, [Load("t", 0), Load("u", 0)], CONFIG, ("t", 2), id="the first wins ties"),
        pytest.param(BUSY, [Load("t", 0), Load("u", 0, priority=2)], CONFIG, ("u", 2), id="priority breaks ties"),
        pytest.param(BUSY, [Load("t", 1), Load("u", 0)], CONFIG, ("u", 2), id="the larger difference wins"),
        pytest.param(
            replace(BUSY, capabilities=frozenset({"gpu"})),
            [Load("t", 0, capabilities=frozenset({"web"})), Load("u", 0, capabilities=frozenset({"gpu"}))],
            CONFIG,
            ("u", 2),
            id="the better match wins",
        ),
        pytest.param(
            Load("s", 3, cpu=90.0), [Load("t", 0)], CONFIG, ("t", 1), id="a difference at the threshold will do"
        ),
        pytest.param(
            Load("s", 2, cpu=90.0), [Load("t", 0)], CONFIG, None, id="a difference below the threshold will not"
        ),
        pytest.param(
            Load("s", 3, cpu=90.0),
            [Load("t", 1, priority=10), Load("u", 0, priority=0)],
            CONFIG,
            None,
            id="if the best target is below the threshold no other is tried",
        ),
        pytest.param(
            Load("s", 1, cpu=90.0), [Load("t", 0)], StealConfig(steal_threshold=0), None, id="half of one is nothing"
        ),
        pytest.param(
            Load("s", 2, cpu=90.0),
            [Load("t", 0, priority=-5)],
            StealConfig(steal_threshold=2),
            None,
            id="a score of 0.5 is not above 0.5",
        ),
        pytest.param(BUSY, [Load("t", 0, capacity=1)], CONFIG, ("t", 1), id="no more than the target has room for"),
        pytest.param(BUSY, [Load("t", 1, capacity=1), Load("u", 1)], CONFIG, ("u", 2), id="who is full is no target"),
        pytest.param(BUSY, [Load("t", 0)], StealConfig(enabled=False), None, id="disabled"),
        pytest.param(
            BUSY, [Load("t", 4)], StealConfig(underloaded_below_tasks=5), ("t", 2), id="a target by the settings"
        ),
    ],
)
def test_next_target(source: Load, others: list[Load], config: StealConfig, expect: tuple[str, int] | None) -> None:
    move = next_target(config, source, [source, *others])
    assert move == (None if expect is None else Move(source.agent_id, *expect))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steal_threshold", -1),
        ("max_steal_batch", 0),
        ("max_steal_batch", 201),
        ("min_tasks_to_steal", -1),
        ("interval_s", 0.0),
        ("interval_s", float("nan")),
        ("cooldown_s", -1.0),
        ("overloaded_above_tasks", -1),
        ("overloaded_above_cpu", 100.1),
        ("underloaded_below_tasks", -1),
        ("underloaded_below_cpu", -0.1),
    ],
)
def test_a_setting_out_of_range_is_refused_and_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be from "):
        replace(CONFIG, **{field: value})  # type: ignore[arg-type] # any field
